/* What the application carries: the kernel as it lies in memory, without bss, and the boot archive. */
    .section .payload, "aw"
    .balign 4096
    .globl payload_kernel, payload_kernel_end, payload_archive, payload_archive_end
payload_kernel:
    .incbin KERNEL_FILE
payload_kernel_end:
    .balign 4096
payload_archive:
    .incbin ARCHIVE_FILE
payload_archive_end:

/*
 * Writes docs/abi.md: the manual of Quarry's interface, out of the same tables that the kernel and
 * the programs are compiled from. A call without a description here does not compile into a manual:
 * the tool fails.
 *
 *     abi_manual > docs/abi.md
 */
#include <quarry/abi.h>
#include <quarry/call_errors.h>
#include <quarry/records.h>
#include <quarry/trace.h>
#include <quarry/uses.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *x86_64, *riscv64;
} registers[] = {
    {"number", "rax", "a7"}, {"x0", "rdi", "a0"}, {"x1", "rsi", "a1"}, {"x2", "rdx", "a2"},
    {"x3", "r10", "a3"},     {"x4", "r8", "a4"},  {"x5", "r9", "a5"},  {"error", "rax", "a0"},
};

/* What each call does, in a paragraph. */
static const char *const prose[QY_CALL_COUNT] = {
    [QY_CALL_null] = "Does nothing. What it costs is what every call costs.",
    [QY_CALL_untyped_retype] =
        "Makes `count` objects of `type` out of the untyped in x0, and puts "
        "capabilities with all rights for them "
        "into the empty slots [`slot`, `slot` + `count`) of the capability "
        "node `node`. `pages` is the size of each "
        "object in 4 KiB pages: a power of two for frames and capability "
        "nodes, any number for untypeds, as many as it is to have at first for a memory object, 1 "
        "for all "
        "others. The memory of a new object is zero. The result is the "
        "handle of the first. At most 256 objects are made by one call: all of them, or none.",
    [QY_CALL_untyped_info] =
        "How much memory the untyped has, how much of it is free, the order of its largest free "
        "block (2^order pages), how many objects were made of it (untyped_objects tells them by "
        "type), and where it lies (zone 0 is below 4 GiB, zone 1 above). `fragmentation` is how "
        "much of the free memory lies in no free block of 2 MiB, so that no large page can be made "
        "of it, in thousandths.",
    [QY_CALL_untyped_objects] =
        "How many objects of a type that were made of the untyped exist, and the bytes that they "
        "take of it; type 0 stands for all types. Untypeds made of it count as objects; what is in "
        "them does not.",
    [QY_CALL_cap_copy] =
        "Puts a copy of the capability `source` into the empty slot `slot` of the node in x0. The "
        "copy has the rights named and the badge named; it is a child of its source, so that a "
        "revoke of the source takes it away. Rights can only shrink. Endpoints, notifications and "
        "memory objects have badges, given once; a memory object's capability with a badge maps "
        "it, "
        "and for memory_resize, memory_supply, memory_discard, memory_pager and memory_written it "
        "has NO_RIGHTS.",
    [QY_CALL_cap_delete] =
        "Empties the slot of x0. With the last capability to it an object is destroyed, its "
        "mappings are removed from every CPU, and its memory goes back to the untyped it came "
        "from.",
    [QY_CALL_cap_revoke] =
        "Deletes every capability that was derived from the one in x0, by copy or by retype. x0 "
        "itself stays. For an untyped the rights WRITE and GRANT are needed; afterwards all of it "
        "is free and one whole. BUSY: all of it but memory that a device has pinned which does not "
        "stop.",
    [QY_CALL_cap_info] = "What stands in a slot of the node in x0: type and rights, its handle "
                         "with the current generation, the number "
                         "of the object, its badge, and how many capabilities were derived from "
                         "it. NOT_FOUND: the slot is empty.",
    [QY_CALL_frame_map] = "Maps the frame in x0 at `address` of the address space `space`, with "
                          "the flags below and the largest pages "
                          "that fit it. A capability maps its frame in one place; a copy of it can "
                          "map it in another. The tables on "
                          "the way must exist; MISSING_TABLE says in x1 which level does not. No "
                          "frame is ever writable in one place "
                          "and executable in another.",
    [QY_CALL_frame_unmap] =
        "Removes the mapping of this frame at `address`. When it returns, no CPU uses it any more.",
    [QY_CALL_frame_protect] =
        "Changes the flags of the mapping of this frame at `address`. Its memory type stays.",
    [QY_CALL_table_map] =
        "Makes the page table in x0 the table of `level` (1 = of 4 KiB pages, 2 = of 2 MiB, 3 = of "
        "1 GiB) over `address`. MISSING_TABLE says in x1 which level above it is missing.",
    [QY_CALL_table_unmap] =
        "Takes the page table in x0 out of its address space. It must be empty.",
    [QY_CALL_space_query] =
        "The first region at or above `address`: pages with the same flags and size, neighbours "
        "merged. It is [`start`, `end`). A call looks at 4096 entries of page tables at most: with "
        "QY_QUERY_MORE the region goes on at `end`.",
    [QY_CALL_thread_configure] =
        "Gives a thread that does not run its address space, its capability node, and the "
        "endpoint that hears of its faults (0: none, a fault ends the thread). Fault messages "
        "carry `badge`.",
    [QY_CALL_thread_start] =
        "Starts a configured thread on a CPU, or QY_CPU_ANY (see thread_schedule): first "
        "instruction, stack pointer, and one argument in rdi or a0. All other registers are zero.",
    [QY_CALL_thread_suspend] =
        "The thread stops until it is resumed. When this returns it runs no instruction any more, "
        "on whatever CPU it was; a call that it has begun is finished all the same.",
    [QY_CALL_thread_resume] = "A suspended thread goes on.",
    [QY_CALL_thread_info] =
        "What the thread is doing (see the states), its CPU and priority, and how often it faulted "
        "and called.",
    [QY_CALL_thread_exit] = "Ends the thread that calls. x0 is not looked at. It does not return.",
    [QY_CALL_thread_pointer] =
        "Sets the register by which the calling thread finds what it has of its own: the base of "
        "fs, or tp. x0 is not looked at. A thread starts with 0. On RISC-V a program can as well "
        "write tp itself.",
    [QY_CALL_yield] = "Lets another thread of this CPU run.",
    [QY_CALL_endpoint_send] =
        "Waits until somebody receives on the endpoint, and hands the message over. It carries "
        "the badge of the capability that was used.",
    [QY_CALL_endpoint_call] = "Like endpoint_send, and then waits for the reply, which it returns.",
    [QY_CALL_endpoint_receive] =
        "Waits for a message. If its sender waits for an answer (endpoint_call, or a fault), "
        "the reply object `reply` stands for that sender from now on. With reply 0 such a sender "
        "gets DEAD, and a thread that faulted ends.",
    [QY_CALL_reply_send] =
        "Answers the sender that the reply object stands for, once. To a fault the label "
        "QY_FAULT_RESUME lets the thread try again, QY_FAULT_KILL ends it.",
    [QY_CALL_reply_map] =
        "Answers a page fault with memory: maps the frame with these flags at the address that the "
        "thread touched, in its address space, as frame_map does, and lets the thread try again. "
        "NOT_FOUND: nobody waits for the reply. INVALID_ARGUMENT: who waits did not fault on a "
        "page. BUSY: another CPU is taking something out of that space; try again. After an error "
        "the thread waits on.",
    [QY_CALL_endpoint_reply_receive] =
        "Answers like reply_send, without a capability, and then waits like endpoint_receive, with "
        "the same reply object. If nobody waits for the answer any more it only receives.",
    [QY_CALL_receive_slot] =
        "Where the next capability that comes with a message to the calling thread is put: the "
        "empty slot `slot` of the node in x0; 0 = nowhere. It is used once. Whoever sends names a "
        "`capability` of its own, for which it has GRANT, through an endpoint capability with "
        "GRANT; the copy is a child of it. QY_LABEL_CAPABILITY in the label says that it has come; "
        "without a slot the message arrives without it.",
    [QY_CALL_notification_signal] =
        "Sets the bits of the badge of the capability in x0 (bit 0 without a badge) and wakes who "
        "waits for them. Never waits.",
    [QY_CALL_notification_wait] =
        "Waits until any bit is set, then returns them all and clears them.",
    [QY_CALL_notification_poll] = "The same without waiting. WOULD_WAIT: no bit is set.",
    [QY_CALL_notification_bind] =
        "From now on a signal also ends a receive of `thread` (0: of no thread): it returns the "
        "bits in place of the badge and the label QY_LABEL_NOTIFIED. BUSY: one of them is bound.",
    [QY_CALL_thread_schedule] =
        "Gives the thread a priority (0 to 63, higher runs first, equals take turns; new threads "
        "have 32; NO_RIGHTS: above the caller's own) and a CPU, or QY_CPU_ANY: a CPU of the node "
        "that the thread's memory is on. It moves there at once.",
    [QY_CALL_timer_set] =
        "The timer in x0 signals `notification`, with the badge of that capability, `delay_ns` "
        "nanoseconds from now and then each `period_ns` (0: once). It may be late by 10 ms. What "
        "it was set to before is forgotten; with all arguments 0 it is not armed any more.",
    [QY_CALL_timer_info] =
        "The time since boot, when the timer is due (0: it is not armed), its period, and how many "
        "periods passed since it was set without a signal of their own.",
    [QY_CALL_cap_move] =
        "Moves the capability `source` to the empty slot `slot` of the node in x0, with its badge, "
        "its mapping and all that was derived from it.",
    [QY_CALL_interrupt_bind] =
        "Connects the interrupt in x0 to line `number` of the machine, which signals "
        "`notification` "
        "from now on, with the badge of that capability. `system` is the capability of the system, "
        "with WRITE. On x86-64 numbers are ACPI's global system interrupts, on RISC-V sources of "
        "the PLIC. The CPU that makes the call serves the line; CPU 0, or the first that can be "
        "reached, if the controller does not reach it. BUSY: the line or the interrupt is bound. "
        "INVALID_ARGUMENT: the machine has no such line. UNSUPPORTED: its controller is not "
        "driven (APLIC), or the line raises NMIs. Deleting the interrupt, or the notification, "
        "turns the line off.",
    [QY_CALL_interrupt_acknowledge] =
        "The driver has served what the interrupt in x0 signalled: the next may come. Until then "
        "nothing more is signalled. A line that tells its level is held back, so serve the device "
        "first; an edge that comes meanwhile is remembered and signalled at once. NOT_FOUND: "
        "nothing is to be acknowledged.",
    [QY_CALL_ports_bind] =
        "Makes the object in x0 the I/O ports [`first`, `first` + `count`); `system` as for "
        "interrupt_bind. BUSY: some of them are another's or the kernel's (0x20, 0x21, 0xa0, 0xa1, "
        "0x40 to 0x43, 0x61, 0x3f8 to 0x3ff, 0xf4 to 0xf7, 0x8900, and ACPI's power-off), or the "
        "object has ports. UNSUPPORTED: the machine has none (RISC-V).",
    [QY_CALL_port_in] =
        "Reads 1, 2 or 4 bytes (`width`) at a port of the range in x0. INVALID_ARGUMENT: not all "
        "of them belong to it.",
    [QY_CALL_port_out] = "Writes 1, 2 or 4 bytes in the same way.",
    [QY_CALL_device_frame] =
        "Makes a frame of the device memory in x0: `pages` (a power of two) pages from the "
        "physical `address`, which is aligned to them, named by the empty slot `slot` of `node`. "
        "`untyped` pays for the frame's header. A revoke of either, the device memory or the "
        "untyped, takes the frame away with all its mappings. It is mapped with exactly one of "
        "QY_MAP_UNCACHED and QY_MAP_WRITE_THROUGH, and never executable. BUSY: it overlaps a frame "
        "that exists. INVALID_ARGUMENT: it is not all inside the device memory.",
    [QY_CALL_device_info] =
        "Where the device memory in x0 begins, how many bytes it has, and how many frames of it "
        "exist.",
    [QY_CALL_space_bind] =
        "Binds an untyped to an address space as its budget: tables, pages and reverse maps of its "
        "regions come out of it from then on. It stays bound until it is revoked or destroyed, "
        "which "
        "takes back all that came of it, from clones too; what they touch then is revoked. BUSY: "
        "one "
        "is bound.",
    [QY_CALL_space_map_region] =
        "Reserves a range, for QY_MAP_* rights and QY_REGION(kind). Address 0: the kernel chooses "
        "where, from 1 TiB on, behind what it chose last; with QY_REGION_ABOVE it chooses from "
        "that "
        "address on, this time and later, in clones of the space, too. It is memory "
        "of zeroes that appears when it is touched. With QY_REGION_GUARD a guard page that may "
        "move "
        "`first` times. With QY_REGION_OBJECT the pages of the memory object `object` from number "
        "`first` on, which all who map it share; protect_region gives it no more rights than the "
        "capability has. With QY_REGION_PRIVATE, too, a copy of each page that is written, paid by "
        "the space's budget. With QY_REGION_PAGER pages that the space's handler is asked for when "
        "they are touched, by their number, which counts from `first` on. UNSUPPORTED: no budget "
        "is "
        "bound. TOO_MANY: the space names 1024 objects already.",
    [QY_CALL_space_unmap_region] = "Empties a range, holes included, whatever is there. "
                                   "NOT_MAPPED: nothing is. OUT_OF_MEMORY: "
                                   "what is left of something larger needs a table.",
    [QY_CALL_space_protect_region] = "Gives a range without holes other rights, 0 for none. "
                                     "NO_RIGHTS: more than it may have, for "
                                     "instance than the capability that mapped a frame.",
    [QY_CALL_space_clone] =
        "What stands in a range of another space appears in this one at the same addresses, copied "
        "when one of them writes. A call clones up to the next address that is a multiple of 1 "
        "GiB, "
        "and says where to go on. UNSUPPORTED: no budget is bound, or there is device memory.",
    [QY_CALL_space_settle] =
        "Moves pages of 4 KiB of [address, address + bytes) into frames that the untyped pays, "
        "while threads use them, a part a call; says where to go on. Pages that are the untyped's "
        "already stay, and so do those of objects and of frames' capabilities. Bytes 0: everything "
        "above. Untyped 0: the budget, so that afterwards the space shares nothing with others "
        "that it would lose with them. On OUT_OF_MEMORY as well: where it came to. The untyped's "
        "capability needs WRITE.",
    [QY_CALL_dma_bind] =
        "Connects a DMA device to the register, of `width` 1, 2 or 4 bytes at `offset` in a frame "
        "of "
        "device memory, that stops the device: `value` is written to it, and is read from it once "
        "the "
        "device has stopped. x1 is the system's capability with WRITE, the registers' needs WRITE. "
        "INVALID_ARGUMENT: no such register, a frame of RAM. BUSY: it is connected.",
    [QY_CALL_frame_pin] =
        "Says at which physical address the frame lies, and how large it is, and lets the device "
        "have it: it keeps its "
        "place until frame_unpin. If the capability, or the DMA device, goes before that in "
        "whatever way, the kernel stops the device, which ends all of its pins. The DMA device's "
        "capability needs WRITE. BUSY: the frame is pinned, or the device is being stopped. DEAD: "
        "it "
        "did not stop when it was told to. NOT_FOUND: it is connected to no register. TOO_MANY: it "
        "has "
        "32 pins. INVALID_ARGUMENT: a frame of device memory.",
    [QY_CALL_frame_unpin] = "The device does not use the frame any more; only the caller can know. "
                            "By the capability that "
                            "pinned it. NOT_FOUND: it has not.",
    [QY_CALL_space_info] = "Pages that a space has from `address` on: all, those that are its own, "
                           "those that it shares or "
                           "that were mapped; its tables, those that it shares. A call counts some "
                           "64 tables of pages, "
                           "and says where to go on; the end of the user half: that was all.",
    [QY_CALL_space_pages] =
        "Large pages that are there from `address` on, counted in parts as space_info does. Of the "
        "space since it was made, modulo 2^32: stretches put together, large pages divided, blocks "
        "of 2 MiB reserved, reservations found needed elsewhere. Of its budget now: pages that are "
        "reserved for stretches, not used, and free for whoever else needs them.",
    [QY_CALL_space_handler] =
        "Faults on regions with QY_REGION_PAGER go to `endpoint` with `badge`, and so do those of "
        "the space's threads that have no fault endpoint of their own. 0: no longer.",
    [QY_CALL_memory_info] =
        "Pages of the memory object in x0: the number behind its last one, whether `page` is "
        "there, "
        "for how many pages on it is likewise (a long run may be cut short; 0: `page` lies behind "
        "the end), and whether the object has a pager.",
    [QY_CALL_memory_resize] =
        "Moves the end of the memory object in x0. Pages behind it go, and are taken from all who "
        "map them; who touches one gets a fault message, not zeroes. A call that has much to do "
        "stops after a while: the result is where the end is now.",
    [QY_CALL_memory_supply] =
        "Brings pages from `page` on, at most 64, into the memory object in x0: copies of what "
        "stands at `pointer`, zeroes if that is 0. Pages that are there already stay as they are. "
        "The result is how many pages from `page` on are there now: fewer than asked for if the "
        "object's untyped has no more memory. NOT_MAPPED: they lie behind the end.",
    [QY_CALL_memory_discard] =
        "Pages of the memory object in x0 go, and are taken from all who map them; the next touch "
        "brings zeroes, or asks the pager. At most 512 a call; the result is where to go on.",
    [QY_CALL_memory_pager] =
        "Whoever touches a page of the memory object in x0 that is not there sends a fault message "
        "to `endpoint` with `badge`, with the page's number in its label, and goes on when it is "
        "answered. 0: pages that are not there are zeroes. If the endpoint goes, the threads' own "
        "handlers are asked.",
    [QY_CALL_memory_written] =
        "Which of `pages` pages, at most 64, of the memory object in x0 from `page` on were "
        "written "
        "to, through shared regions, since they came or since this was asked last: a bit each in "
        "`written`. When it returns nobody can write to them before that is noticed again, so "
        "whoever reads them then has what was written. From the first such call on reads are told "
        "from writes; before, whoever could write is taken to have written.",
    [QY_CALL_space_harvest] =
        "What a clock hand sees: the first pages of the space from `address` on, before `address + "
        "bytes`, up to 64 beginning at the `address` that is returned, one bit each: those that "
        "space_evict may take, those that have been used since the last harvest (which now count "
        "as not used), those that are in slots. All bits 0: there is nothing before "
        "`next_address`.",
    [QY_CALL_space_evict] =
        "Pages leave the space in x0: the one at `address` + i pages goes to slot `first` + i of "
        "the memory object `swap`, its contents to page i of `frame`, its memory back to the "
        "space's budget. `taken` has a bit for each that went. A page stays if it is not memory of "
        "the space's own, is shared by copy on write, or pinned, and if the slot is in use. "
        "Whoever touches a page in a slot sends a fault message to the pager of `swap`, as for a "
        "page of an object, with the slot as its number. `swap` needs WRITE and pays for its "
        "slots (8 bytes each, by pages), `frame` READ and WRITE. At most 64 pages. "
        "INVALID_ARGUMENT: the frame is too small, a device's, or executed by somebody; there are "
        "no such slots.",
    [QY_CALL_memory_restore] =
        "The contents of slots from `first` on return, from `frame`'s pages from `index` on: a "
        "page of each space that has waited for the slot, or of the only one that names it, out "
        "of the memory that pays for its table. `used` has a bit for each slot that somebody "
        "names still, `filled` is how many pages there are now. OUT_OF_MEMORY: none, since a "
        "budget is empty. `frame` needs READ.",
    [QY_CALL_memory_slots] =
        "Which of 64 slots from `first` on, a multiple of 64, are named by a space: their contents "
        "have to be kept, those of others may be forgotten. And how many slots have become free "
        "because nobody named them any more, since the object was made.",
    [QY_CALL_memory_lose] =
        "The contents of slots are lost: who touches such a page gets a fault message that says "
        "*revoked*. At most 64 a call; the result is where to go on.",
    [QY_CALL_untyped_watch] =
        "Signals the notification when the untyped in x0 has fewer than `low_pages` of free "
        "memory, and after that when it has `high_pages` again; at once if it has fewer now. What "
        "CPUs keep for their next allocation is not free. One notification an untyped; all 0: "
        "none. `notification` needs WRITE. INVALID_ARGUMENT: low is above high, or high above all "
        "that there is.",
    [QY_CALL_trace_read] = "Copies records of the ring of `cpu`, from the one at `position` on (0 "
                           "at first), oldest first, at "
                           "most 256 and as many as fit in `length` bytes; the result `position` "
                           "is where to go on. `lost` were "
                           "overwritten before they were read. `number` is that of the machine's "
                           "next record. UNSUPPORTED: "
                           "the kernel was not booted with `trace`, `tracing` or `trace_ring`. "
                           "INVALID_ARGUMENT: there is no "
                           "such CPU.",
    [QY_CALL_system_trace] = "What `action` says, with the words that follow (see the trace "
                             "records). INVALID_ARGUMENT: no such "
                             "action, or an event that does not exist. NOT_FOUND: no such space. "
                             "UNSUPPORTED: as trace_read.",
    [QY_CALL_console_write] = "Writes text, at most 1024 bytes a call.",
    [QY_CALL_console_read] = "One character that was typed. WOULD_WAIT: none was.",
    [QY_CALL_system_record] =
        "Copies the record number `index` of a kind (see the records) to the program's memory, "
        "at most `length` bytes of it. `at` is looked at for regions only. NOT_FOUND: there is no "
        "such index.",
    [QY_CALL_system_check] =
        "Checks everything that the kernel has, while all other CPUs stand still, and returns the "
        "name of the first invariant that does not hold as text, eight characters in each of x1 to "
        "x5. All are zero if every invariant holds. It takes time in proportion to all memory.",
    [QY_CALL_system_power_off] =
        "Switches the machine off. Code 0 means that all is well; under an emulator the code "
        "becomes its exit status.",
};

static void print_head(void)
{
    printf("# The interface of Quarry, version %d\n\n", QY_ABI_VERSION);
    printf("This page is made by `tools/abi_manual.c` from the tables in `include/quarry/`; a test "
           "compares the two. "
           "Change the tables, not this page.\n\n");
    printf("A program holds *capabilities*: each names an object and the rights to it, and stands "
           "in a slot of a "
           "capability node. A *handle* names a slot: its index in the low 32 bits, the slot's "
           "generation in the high "
           "32 bits, so that a handle of something deleted is never mistaken for what stands there "
           "now. 0 is the null "
           "handle. A call that fails has changed nothing.\n\n");
}

static void print_registers(void)
{
    printf(
        "## Registers of a call\n\n| | x86-64 (`syscall`) | RISC-V (`ecall`) |\n|---|---|---|\n");
    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
        printf("| %s | %s | %s |\n", registers[i].name, registers[i].x86_64, registers[i].riscv64);
    printf("\nx0 is the handle that the call is invoked on, x1 to x5 are its arguments and, on "
           "return, its results. "
           "Results that a call does not name are zero. x86-64 loses rcx and r11. On OUT_OF_MEMORY "
           "x1 is the number "
           "of pages wanted and x2 the order of the largest free block of the untyped; on "
           "MISSING_TABLE x1 is the "
           "missing level.\n\n");
}

/* "a, b" as a list with registers from x1 on; "none" when empty. */
static void print_values(const char *title, const char *list)
{
    size_t i = 2;

    printf("%s: ", title);
    if (!*list)
        printf("none");
    while (*list) {
        size_t length = strcspn(list, ",");
        printf("%s`%.*s` (x%zu: %s, %s)", i > 2 ? ", " : "", (int)length, list, i - 1,
               registers[i].x86_64, registers[i].riscv64);
        list += length;
        list += strspn(list, ", ");
        i++;
    }
    printf("  \n");
}

/* All that the call can return beside OK. */
static void print_errors(enum qy_invocation call)
{
    bool any = false;
    printf("errors: ");
#define X(name, value, sentence)                                                                   \
    if (qy_call_errors(call) & 1ull << (value)) {                                                  \
        printf("%s%s", any ? ", " : "", #name);                                                    \
        any = true;                                                                                \
    }
    QY_ERRORS(X)
#undef X
    printf("%s\n", any ? "" : "none");
}

/* "CALL ERROR" a line, for tests/kernel/errors.sh. */
static void print_pairs(void)
{
    for (unsigned call = 0; call < QY_CALL_COUNT; call++) {
#define X(name, value, sentence)                                                                   \
    if (qy_call_errors((enum qy_invocation)call) & 1ull << (value))                                \
        printf("%s %s\n", qy_call_name((enum qy_invocation)call), #name);
        QY_ERRORS(X)
#undef X
    }
}

static void print_rights(unsigned rights)
{
    bool any = false;
#define X(NAME, bit, letter, meaning)                                                              \
    if (rights & QY_RIGHT_##NAME) {                                                                \
        printf("%s%s", any ? ", " : "", #NAME);                                                    \
        any = true;                                                                                \
    }
    QY_RIGHTS(X)
#undef X
    printf("%s", any ? "" : "none");
}

/* False: a call has no description. */
static bool print_calls(void)
{
    static const struct {
        unsigned number;
        const char *name, *arguments, *results;
        enum qy_object_type type;
        unsigned rights;
    } calls[] = {
#define X(number, name, type, rights, arguments, results)                                          \
    {number, #name, arguments, results, QY_OBJ_##type, rights},
        QY_INVOCATIONS(X)
#undef X
    };

    printf("## Calls\n\n");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (!prose[calls[i].number]) {
            fprintf(stderr, "abi_manual: call %s has no description\n", calls[i].name);
            return false;
        }
        printf("### %u %s\n\n%s\n\n", calls[i].number, calls[i].name, prose[calls[i].number]);
        printf("x0: %s; rights needed: ",
               calls[i].type == QY_OBJ_NONE ? "as described" : qy_object_name(calls[i].type));
        print_rights(calls[i].rights);
        printf("  \n");
        print_values("arguments", calls[i].arguments);
        print_values("results", calls[i].results);
        print_errors((enum qy_invocation)calls[i].number);
        printf("\n");
    }
    return true;
}

static void print_names(void)
{
    printf("## Errors\n\n| value | name | meaning |\n|---|---|---|\n");
#define X(name, value, sentence) printf("| %d | %s | %s |\n", value, #name, sentence);
    QY_ERRORS(X)
#undef X
    printf("\n## Objects\n\nRetype: PAGES = a power of two of pages; PAGE = one page; SMALL = from "
           "a slab of that type "
           "in the untyped; RANGE = any number of pages; NEVER = made at boot only.\n\n"
           "| value | name | retype |\n|---|---|---|\n");
#define X(NAME, value, name, retype) printf("| %d | %s | %s |\n", value, name, #retype);
    QY_OBJECTS(X)
#undef X
    printf("\n## Rights\n\n| bit | letter | name | meaning |\n|---|---|---|---|\n");
#define X(NAME, bit, letter, meaning)                                                              \
    printf("| %d | %c | %s | %s |\n", bit, letter, #NAME, meaning);
    QY_RIGHTS(X)
#undef X
    printf("\n## States of a thread\n\n| value | name | meaning |\n|---|---|---|\n");
#define X(NAME, value, name) printf("| %d | %s | %s |\n", value, #NAME, name);
    QY_THREAD_STATES(X)
#undef X
    printf("\n");
}

static void print_constants(void)
{
    printf("## Flags of a mapping\n\n| value | name |\n|---|---|\n");
    printf("| %u | QY_MAP_READ |\n| %u | QY_MAP_WRITE |\n| %u | QY_MAP_EXEC |\n", QY_MAP_READ,
           QY_MAP_WRITE, QY_MAP_EXEC);
    printf("| %u | QY_MAP_WRITE_THROUGH (device memory only) |\n| %u | QY_MAP_UNCACHED (device "
           "memory only) |\n\n",
           QY_MAP_WRITE_THROUGH, QY_MAP_UNCACHED);
    printf("## Fault messages\n\nA fault arrives at the thread's fault endpoint like a call. Its "
           "label holds 0x%x in "
           "bits 0 to 7, the access in bits 8 to 15 (0 read, 1 write, 2 execute), and in bits 16 "
           "to 23 what stood "
           "there (0 nothing, 1 a mapping that does not allow it, 2 it was another exception). "
           "word0 is the address (of another exception: its number), word1 the instruction, word2 "
           "the number of the thread as in thread_info.\n\n",
           QY_LABEL_FAULT);
    printf("## What the root task finds\n\n| slot | capability |\n|---|---|\n");
    printf("| %d | its capability node |\n| %d | its address space |\n| %d | its thread |\n| %d | "
           "the console |\n"
           "| %d | the system: records, power, lines and ports |\n| %d and on | untypeds, largest "
           "first |\n| after them | device memory, lowest address first |\n\n",
           QY_SLOT_NODE, QY_SLOT_SPACE, QY_SLOT_THREAD, QY_SLOT_CONSOLE, QY_SLOT_SYSTEM,
           QY_SLOT_UNTYPED);
    printf("`struct qy_root_info` stands read-only at 0x%llx, its address in rdi or a0; the boot "
           "archive (cpio, newc) "
           "at 0x%llx; the stack ends at 0x%llx.\n\n",
           QY_ROOT_INFO_ADDRESS, QY_ROOT_ARCHIVE_ADDRESS, QY_ROOT_STACK_TOP);
}

static void print_records(void)
{
    printf("## Records\n\nFor system_record. All fields are 64-bit, in this order; sizes are "
           "bytes.\n\n");
#define F(field, meaning) printf("| %s | %s |\n", #field, meaning);
#define R(NAME, value, name, table)                                                                \
    printf("### %d %s\n\n| field | meaning |\n|---|---|\n", value, #name);                         \
    table(F) printf("\n");
    QY_RECORDS(R)
#undef R
#undef F
    printf("### States of frames\n\nThe field `state` of a run record:\n\n| value | state "
           "|\n|---|---|\n");
#define X(NAME, name) printf("| %d | %s |\n", state++, name);
    int state = 0;
    QY_FRAME_STATES(X)
#undef X
    printf("\n### Uses of memory\n\nThe field `use` of a use record:\n\n| value | use | owner "
           "|\n|---|---|---|\n");
    int value = 0;
#define X(NAME, name, owner) printf("| %d | %s | %s |\n", value++, name, owner);
    QY_MEM_USES(X)
#undef X
    printf("\n");
}

static void print_trace(void)
{
    printf(
        "## Trace records\n\nEach is %zu bytes: number, time (clock ticks), cause (the kernel "
        "entry "
        "that made it happen: CPU << 48, plus that CPU's count of entries), thread, process (its "
        "address space), untyped, all of 64 bits; CPU and event, of 32 bits each; then %u fields "
        "of 64 "
        "bits, of which the event names those that it has.\n\n| event | name | fields "
        "|\n|---|---|---|\n",
        sizeof(struct qy_trace_record), QY_TRACE_FIELDS);
#define F(field) " " #field
#define T(NAME, bit, name, fields) printf("| %d | %s |%s |\n", bit, #name, fields);
    QY_TRACE_EVENTS(T)
#undef T
#undef F
    printf("\nWhat system_trace does:\n\n| action | name | what |\n|---|---|---|\n");
#define X(NAME, value, meaning) printf("| %d | %s | %s |\n", value, #NAME, meaning);
    QY_TRACE_ACTIONS(X)
#undef X
    printf("\nChunks of a trace on a disk:\n\n| kind | name | what |\n|---|---|---|\n");
#define K(NAME, value, meaning) printf("| %d | %s | %s |\n", value, #NAME, meaning);
    QY_TRACE_CHUNKS(K)
#undef K
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--errors") == 0) {
        print_pairs();
        return fflush(stdout) != 0;
    }
    print_head();
    print_registers();
    if (!print_calls())
        return 1;
    print_names();
    print_constants();
    print_records();
    print_trace();
    return fflush(stdout) != 0;
}

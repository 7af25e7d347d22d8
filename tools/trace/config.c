/*
 * The events as a configuration of barectf: what CTF's metadata and the writer of its streams are generated from.
 *
 * One stream a CPU; every record has the head of struct qy_trace_record and its own fields, all of 64 bits. argv[1] is
 * the frequency of the trace's clock.
 */
#include <quarry/trace.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMBER                                                                                     \
    "{field-type: {class: unsigned-integer, size: 64, alignment: 8, preferred-display-base: "      \
    "hexadecimal}}"
#define DECIMAL "{field-type: {class: unsigned-integer, size: 64, alignment: 8}}"

int main(int count, char **words)
{
    if (count != 2)
        return 2;
    unsigned long long frequency = strtoull(words[1], NULL, 10);
    printf("--- !<tag:barectf.org,2020/3/config>\n"
           "trace:\n"
           "  environment: {kernel: quarry}\n"
           "  type:\n"
           "    native-byte-order: little-endian\n"
           "    clock-types:\n"
           "      ticks: {frequency: %llu, $c-type: uint64_t}\n"
           "    data-stream-types:\n"
           "      cpu:\n"
           "        $is-default: true\n"
           "        $default-clock-type-name: ticks\n"
           "        packet-context-field-type-extra-members:\n"
           "          - cpu_id: " DECIMAL "\n"
           "        event-record-common-context-field-type:\n"
           "          class: structure\n"
           "          members:\n"
           "            - number: " DECIMAL "\n            - cause: " MEMBER "\n"
           "            - thread: " DECIMAL "\n            - process: " DECIMAL "\n"
           "            - untyped: " DECIMAL "\n"
           "        event-record-types:\n",
           frequency ? frequency : 1000000000ull);
#define F(field) printf("                - " #field ": " MEMBER "\n");
#define T(NAME, bit, name, fields)                                                                 \
    printf("          " #name ":\n            payload-field-type:\n              class: "          \
           "structure\n              members:\n");                                                 \
    fields
    QY_TRACE_EVENTS(T)
#undef T
#undef F
    printf("          events_lost:\n            payload-field-type:\n              class: "
           "structure\n              members:\n                - count: " DECIMAL "\n");
    return fflush(stdout) != 0;
}

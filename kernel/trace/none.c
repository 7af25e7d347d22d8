/*
 * The calls on the rings of a kernel that is built without them.
 */
#include <kernel/call.h>

enum qy_error call_trace_read(struct call *call)
{
    (void)call;
    return QY_UNSUPPORTED;
}

enum qy_error call_system_trace(struct call *call)
{
    (void)call;
    return QY_UNSUPPORTED;
}

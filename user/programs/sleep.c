/*
 * Sleep: wait so many seconds, without using the CPU meanwhile.
 *
 *     sleep SECONDS
 */
#include <user/call.h>
#include <user/print.h>
#include <user/program.h>
#include <user/slots.h>

#define SECONDS_MAX 1000000000ull

int main(int argc, char *argv[])
{
    const char *at = argc == 2 ? argv[1] : "";
    uint64_t seconds = 0, word;
    qy_handle_t timer, notification;

    while (*at >= '0' && *at <= '9' && seconds < SECONDS_MAX)
        seconds = seconds * 10 + (uint64_t)(*at++ - '0');
    if (argc != 2 || *at || !*argv[1]) {
        print("sleep SECONDS\n");
        return 2;
    }
    if (slot_make(QY_SLOT_UNTYPED, QY_OBJ_NOTIFICATION, 1, &notification) != QY_OK ||
        slot_make(QY_SLOT_UNTYPED, QY_OBJ_TIMER, 1, &timer) != QY_OK ||
        timer_set(timer, notification, seconds * 1000000000ull, 0) != QY_OK)
        return 1;
    return notification_wait(notification, &word) == QY_OK ? 0 : 1;
}

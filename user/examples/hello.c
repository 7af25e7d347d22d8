/*
 * Hello: the smallest program. It prints what it was started with and what it has.
 *
 *     run hello you and you
 */
#include <user/call.h>
#include <user/print.h>
#include <user/program.h>

int main(int argc, char *argv[])
{
    struct untyped_state budget;

    print("hello:");
    for (int i = 1; i < argc; i++)
        print(" %s", argv[i]);
    print("%s\n", argc > 1 ? "" : " world");
    if (untyped_info(QY_SLOT_UNTYPED, &budget) != QY_OK)
        return 1;
    print("hello: my budget is %S, of which %S are free\n", budget.total_bytes, budget.free_bytes);
    return 0;
}

#include "world.h"
#include <tap.h>
static void boots(void) { CHECK(world_check() == NULL); printf("# %s\n", world_check() ? world_check() : "ok"); CHECK(world_root_thread() != NULL);
 struct result r = world_call(0, QY_CALL_untyped_info, QY_SLOT_UNTYPED,0,0,0,0,0); CHECK_EQ(r.error,0); printf("# %llu %llu %llu\n",(unsigned long long)r.x[1],(unsigned long long)r.x[2],(unsigned long long)r.x[3]);
 }
static const struct test tests[] = {{"boots", boots}};
int main(void) { world_make(64); return tap_run(tests, 1); }

/*
 * main: the one program; cli/command.def lists what it can do.
 */
#include <stdio.h>
#include <sysexits.h>

#include "cli/cli.h"
#include "os/linux/real_world.h"

int main(int argc, char **argv)
{
    struct world *world;
    enum fault fault = world_new_real(&world);
    if (fault != FAULT_NONE) {
        fprintf(stderr, "postrider: %s\n", fault_text(fault));
        return EX_OSERR;
    }
    int code = cli_main(world, argc, argv);
    world_free_real(world);
    return code;
}

/*
 * main: the one program; cli/command.def lists what it can do.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/cli.h"
#include "cli/sendmail.h"
#include "os/linux/real_world.h"

int main(int argc, char **argv)
{
    struct world *world;
    enum fault fault = world_new_real(&world);
    if (fault != FAULT_NONE) {
        fprintf(stderr, "postrider: %s\n", fault_text(fault));
        return EX_OSERR;
    }
    int code;
    if (argc > 0 && sendmail_is_name(argv[0]))
        code = sendmail_main(world, argc, argv);
    else if (argc > 1 && strcmp(argv[1], "sendmail") == 0)
        code = sendmail_main(world, argc - 1, argv + 1);
    else
        code = cli_main(world, argc, argv);
    world_free_real(world);
    return code;
}

/*
 * service_manager: tells the service manager how the service is: the datagrams of sd_notify(3),
 * without its library. In the real world only.
 */
#ifndef OS_SERVICE_MANAGER_H
#define OS_SERVICE_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

/* Lines such as "READY=1\nSTATUS=..." to the socket that NOTIFY_SOCKET names, if there is one: a
   path, or a name in the abstract name space after an @. Never waits. */
void service_manager_tell(const char *lines);
/* RELOADING=1 with the time that it has to stand beside. */
void service_manager_tell_reloading(void);
/* How often WATCHDOG=1 is expected of this process, in ms; 0: not at all. */
int64_t service_manager_watchdog_ms(void);

#endif

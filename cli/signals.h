/* The signals that ask a run to stop: Ctrl-C (SIGINT), SIGTERM, and SIGHUP, which comes when the terminal
   goes. */
#ifndef TI_SIGNALS_H
#define TI_SIGNALS_H

#include <stdbool.h>

/* From now on they are kept for the run to ask for. What is ignored already stays so: Ctrl-C by a script's
   background job, SIGHUP behind nohup. A second Ctrl-C or SIGTERM ends the program at once. SIGPIPE is
   ignored: who reads the results may go, and the run stays. */
void signals_catch(void);

/* The one that came, 0: none. */
int signals_caught(void);

/* Once all is saved, each of them just ends the program, whatever that is doing. */
void signals_release(void);

#endif

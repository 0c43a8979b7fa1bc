#ifndef TI_TRAIN_H
#define TI_TRAIN_H

/* `ti train` with the words after it; the exit status: 0, 1 for an error, 2 for wrong usage. */
int train_command(int argc, char *const argv[]);

#endif

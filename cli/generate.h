#ifndef TI_GENERATE_H
#define TI_GENERATE_H

/* `ti generate` with the words after it; the exit status: 0, 1 for an error, 2 for wrong usage. */
int generate_command(int argc, char *const argv[]);

#endif

/* The program that a room is linked into together with the rooms below it, and with nothing else: it does not
   link if the room needs anything from above (Makefile). */
int main(void) { return 0; }

/* SPDX-License-Identifier: MIT */
/* `make tests` links each room, which is one of the source folders, into this program together with the rooms
   that it may use and nothing else. Linking fails when the room uses any other room. */
int main(void) { return 0; }

/*
 * probe: the isolation checks that a program can make from inside its box.  In the self-test at every start this
 * executable takes the program's place after all steps (child_setup.c), so it checks what programs get.
 *
 * Outside a box every check fails.  A test relies on this to show that the probe detects a missing layer.  Everything
 * the probe tries is harmless where it is not denied.
 */
#pragma once

/* Prints a line for each check that failed (protocol.h).  Returns how many failed. */
int probe_main(void);

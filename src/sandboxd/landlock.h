/*
 * landlock: leaves a program only a few files of /proc, by the kernel's Landlock rules.
 *
 * Some files of /proc reveal facts about others: pagemap and smaps show whether another box has a page of the image
 * mapped.  They cannot be hidden by mounts, because every process and thread has its own.  A ruleset names what may be
 * opened instead: everything outside /proc, and `readable` in landlock.c of the program's first process.  Links below
 * /proc still lead to the files themselves, so /proc/self/exe and /dev/fd/N can be opened.  Folders can be listed.
 */
#pragma once

/*
 * In the program's process, in the box, with no_new_privs: applies the ruleset to the process and all its descendants.
 * Sends descriptors to `keeper`.  The rules hold for as long as its other end stays open, read or not.  0 or errno.
 */
int landlock_restrict(int keeper);

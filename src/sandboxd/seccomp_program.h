/*
 * seccomp_program: turns rows of seccomp_table.h into a program for the kernel (classic BPF).
 *
 * The program finds a call's number by a binary search and then tries the call's rows in order.  Most numbers lie in
 * long ranges with one answer, which the kernel finds once, when the program is loaded, and remembers.
 */
#pragma once
#include <linux/filter.h>
#include <stdint.h>

#include "base/error.h"

/* The prefix of the numbers of x32, a second set of calls of x86-64. */
#define SECCOMP_X32_FIRST 0x40000000u
#define SECCOMP_X32_END 0x80000000u

struct seccomp_program_spec {
    uint32_t who; /* bits of enum seccomp_who: takes the rows that are for any of them */
    /*
     * 0, or the bits of a program that is loaded already.  The new one then has only the calls whose rows differ, and
     * allows all others.
     */
    uint32_t loaded_who;
    uint32_t deny;    /* SECCOMP_RET_ value for the rows that say SECCOMP_DENY */
    uint32_t foreign; /* and for calls of other architectures and of x32 */
};

/* Allocates ret->filter. */
int seccomp_program_build(const struct seccomp_program_spec *spec, struct sock_fprog *ret, struct error *err);

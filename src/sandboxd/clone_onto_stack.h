/*
 * clone_onto_stack: clone3(2) whose child begins in a function, on a stack of its own, as a child that shares its
 * parent's memory must: on its parent's stack it would overwrite the frames that the parent returns to.
 */
#pragma once
#include <linux/sched.h>
#include <sys/types.h>

struct box_plan;

/*
 * Defined where a child may share memory: not under a sanitizer that keeps books of stacks, and not where nobody has
 * written the few instructions.
 */
#if defined __x86_64__ && !defined __SANITIZE_ADDRESS__
#define SHARES_MEMORY 1
/* args->stack and stack_size say where.  Returns the child's pid, or -1 with errno. */
pid_t clone_onto_stack(const struct clone_args *args, void (*child)(const struct box_plan *plan),
                       const struct box_plan *plan);
#endif

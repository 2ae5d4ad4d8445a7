/*
 * floor: the cost of a program without evalx: posix_spawn and wait4 of ARGV, stdin from /dev/null, stdout to a pipe
 * that is read to its end.
 *
 *   floor [--namespaces] COUNT JOBS ARGV...
 *
 * JOBS processes do COUNT runs each.  With JOBS 1 the microseconds of every run are printed, one per line.  With more
 * JOBS only the total runs per second are printed.  With --namespaces each run has new namespaces and a new memory
 * group (floor_namespaces.c).
 */
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "floor_namespaces.h"

extern char **environ;

static uint64_t now_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        exit(1);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool has_namespaces;

static pid_t spawn(char *const argv[], int output)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    pid_t pid = -1;
    if (posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) != 0)
        pid = -1;
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void run_once(char *const argv[])
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        exit(1);
    pid_t pid = has_namespaces ? namespaces_start(argv, ends[1]) : spawn(argv, ends[1]);
    if (pid < 0) {
        perror(argv[0]);
        exit(1);
    }
    close(ends[1]);
    char output[4096];
    while (read(ends[0], output, sizeof output) > 0)
        ;
    close(ends[0]);
    int status;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "%s: wait status %d\n", argv[0], status);
        exit(1);
    }
    if (has_namespaces)
        namespaces_end();
}

int main(int argc, char *argv[])
{
    has_namespaces = argc > 1 && strcmp(argv[1], "--namespaces") == 0;
    argv += has_namespaces;
    argc -= has_namespaces;
    if (argc < 4) {
        fprintf(stderr, "usage: floor [--namespaces] COUNT JOBS ARGV...\n");
        return 2;
    }
    long count = strtol(argv[1], NULL, 10), jobs = strtol(argv[2], NULL, 10);
    if (jobs == 1) {
        if (has_namespaces)
            namespaces_prepare();
        for (long i = 0; i < count; i++) {
            uint64_t begin = now_ns();
            run_once(argv + 3);
            printf("%.1f\n", (double)(now_ns() - begin) / 1000.0);
        }
        return 0;
    }
    uint64_t begin = now_ns();
    for (long job = 0; job < jobs; job++) {
        pid_t pid = fork();
        if (pid < 0)
            return 1;
        if (pid == 0) {
            if (has_namespaces)
                namespaces_prepare();
            for (long i = 0; i < count; i++)
                run_once(argv + 3);
            _exit(0);
        }
    }
    int status, bad = 0;
    while (wait(&status) > 0)
        bad |= status;
    printf("%.1f\n", (double)(count * jobs) * 1e9 / (double)(now_ns() - begin));
    return bad != 0;
}

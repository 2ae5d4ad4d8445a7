/*
 * Prints the table of system calls for the scripts that check it: one row a line, "CALL(CONDITIONS) WHO ANSWER".
 * A condition is ARGUMENT=VALUE or ARGUMENT&MASK=VALUE; an h behind the argument means its upper half.
 */
#include <stdio.h>

#include "sandboxd/seccomp_table.h"

int main(void)
{
    for (size_t i = 0; i < seccomp_rows_len; i++) {
        const struct seccomp_row *row = &seccomp_rows[i];
        printf("%s(", row->call);
        for (size_t k = 0; k < SECCOMP_CONDITIONS_MAX && row->when[k].mask != 0; k++) {
            const struct seccomp_condition *when = &row->when[k];
            printf("%s%u%s", k > 0 ? "," : "", when->argument, when->is_upper ? "h" : "");
            if (when->mask != 0xffffffffu)
                printf("&%#x", when->mask);
            printf("=%#x", when->value);
        }
        printf(") %#x %d\n", row->who, row->answer);
    }
    return 0;
}

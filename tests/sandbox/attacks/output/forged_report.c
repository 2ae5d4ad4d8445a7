/*
 * attack: Writes into every descriptor it can find, in case the one for the run's report is among them.
 * expect: runtime_error exit=7
 */
#include <unistd.h>

int main(void)
{
    static const unsigned char ended[48] = { 3 };
    for (int fd = 3; fd < 1024; fd++)
        if (write(fd, ended, sizeof ended) > 0)
            return write(1, "ESCAPED\n", 8) > 0 ? 0 : 1;
    return 7;
}

/*
 * attack: Expands for long and produces nothing: time inside one function of the optimiser.
 * language: c-hasty
 * expect: compile_error
 * expect: accepted
 */
#define A x = x * 3 + y; y = y ^ x; if (x & y) z += x; switch (z) { case 1: x++; case 2: y++; default: z--; }
#define B A A A A A A A A A A
#define C B B B B B B B B B B
#define D C C C C C C C C C C
int main(int x, char **v)
{
    int y = x, z = v != 0;
    D D
    return x + y + z == 0;
}

// Follows a null pointer: ends by SIGSEGV.
#include <cstdio>

int main()
{
    int *volatile nowhere = nullptr;
    std::printf("%d\n", *nowhere);
}

// Allocates memory until the memory limit ends it.
#include <cstring>
#include <vector>

int main()
{
    std::vector<char *> hoard;
    for (;;) {
        char *megabyte = new char[1 << 20];
        std::memset(megabyte, 1, 1 << 20);
        hoard.push_back(megabyte);
    }
}

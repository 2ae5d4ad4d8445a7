// attack: Computes for ever at compile time.
// language: cpp-hasty
// expect: compile_error
constexpr unsigned long endless(unsigned long n)
{
    unsigned long sum = 0;
    for (unsigned long i = 0; i < n; i++)
        for (unsigned long k = 0; k < 200000; k++)
            sum += i ^ k;
    return sum;
}
template <int n> struct one {
    static constexpr unsigned long value = endless(100 + n) + one<n - 1>::value;
};
template <> struct one<0> {
    static constexpr unsigned long value = 0;
};
static_assert(one<400>::value != 1);
int main() {}

// attack: Templates that double at each of their nine hundred levels.
// language: cpp-hasty
// expect: compile_error
template <int depth, int side> struct bomb {
    static constexpr long value = bomb<depth - 1, side * 2>::value + bomb<depth - 1, side * 2 + 1>::value;
};
template <int side> struct bomb<0, side> {
    static constexpr long value = side;
};
int main() { return bomb<24, 0>::value != 0; }

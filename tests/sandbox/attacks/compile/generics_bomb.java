// attack: Types that double at each call; the compiler of Java runs out of time or memory.
// language: java-hasty
// expect: compile_error
// expect: accepted
public class Main {
    static <A> A either(A a, A b) { return a; }
    interface P<X, Y> {}
    static <X> P<X, P<X, X>> d(X x) { return null; }

    public static void main(String[] args) {
        var a = d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(1))))))))))))))))))));
        var b = either(a, d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(d(""))))))))))))))))))));
        System.out.println(either(either(a, b), either(b, a)) == null);
    }
}

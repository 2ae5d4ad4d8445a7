/*
 * attack: A class whose file has a longer name than an artifact may hold: the client's own fault, not the engine's.
 * expect: accepted stdout="refused\n"
 * expect: compile_error
 */
public class Main {
    static class Loooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooong {
    }

    public static void main(String[] args) {
        System.out.println("refused");
    }
}

/*
 * attack: Sources whose names javac would take for lists of options, or for a processor's registration.
 * files: {"@list.java": "class A { }\n-J-version\n", "META-INF/services/javax.annotation.processing.Processor": "Evil\n", "-J-Xmx9g.java": "class B { }\n", "Evil.java": "public class Evil { static { System.out.println(\"ESCAPED\"); } }\n"}
 * expect: accepted stdout="refused\n"
 * expect: compile_error
 */
public class Main {
    public static void main(String[] a) {
        System.out.println("refused");
    }
}

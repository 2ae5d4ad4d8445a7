// attack: Brings an annotation processor along, which would be code that runs inside the compiler.
// files: {"META-INF/services/javax.annotation.processing.Processor": "Evil\n", "Evil.java": "import java.util.*; import javax.annotation.processing.*; import javax.lang.model.element.*; @SupportedAnnotationTypes(\"*\") public class Evil extends AbstractProcessor { public boolean process(Set<? extends TypeElement> a, RoundEnvironment e) { throw new Error(\"ESCAPED\"); } }"}
// limits: {"cpu_time_ms": 5000, "wall_time_ms": 8000}
// expect: accepted stdout="not processed\n"
public class Main {
    public static void main(String[] args) {
        System.out.println("not processed");
    }
}

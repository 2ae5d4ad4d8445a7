import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.ForwardingJavaFileObject;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * Compiles a program for the JVM and finds its entry point, in one JVM: a second one would cost more than the search.
 *
 * CompileJvm LANGUAGE SOURCES [OPTIONS] SOURCE...: LANGUAGE is java, kotlin, scala2 or scala3, SOURCES the suffix of
 * sources. The classes go to the current folder. The name of the main class goes to the file .entry there, which the
 * java command reads as @.entry.
 */
public final class CompileJvm {
    private static final String ENTRY = ".entry";

    /** What a class file tells about a class that may be the main class. */
    private static final class Candidate {
        String name;
        String source = "";
        boolean isPublic;
        boolean isNested;
        boolean isAbstract;
        boolean hasConstructor;
        boolean hasStandardMain;
        boolean hasOtherMain;
        int line = Integer.MAX_VALUE;
    }

    public static void main(String[] args) throws Exception {
        String language = args[0], suffix = args[1];
        List<String> rest = Arrays.asList(args).subList(2, args.length);
        List<String> sources = rest.stream().filter(x -> x.endsWith(suffix)).collect(Collectors.toList());
        if (!compile(language, rest, sources))
            System.exit(1);
        List<Candidate> all = readClasses();
        boolean anyMain = language.equals("java") && release() >= 25;
        all.removeIf(x -> !x.hasStandardMain && !(anyMain && x.hasOtherMain && !x.isAbstract));
        // The first source first; in a file the first public class, else the first class.
        all.sort(Comparator.<Candidate>comparingInt(x -> place(sources, x.source))
            .thenComparing(x -> !x.hasStandardMain)
            .thenComparing(x -> x.isNested)
            .thenComparing(x -> language.equals("kotlin") && x.hasConstructor) // first functions outside of classes
            .thenComparing(x -> !x.isPublic)
            .thenComparingInt(x -> x.line)
            .thenComparing(x -> x.name));
        if (all.isEmpty()) {
            System.err.println("error: no entry point in " + String.join(", ", sources) + ": expected "
                + expected(language, anyMain));
            System.exit(1);
        }
        Files.write(Paths.get(ENTRY), ("\"" + all.get(0).name + "\"\n").getBytes(StandardCharsets.UTF_8));
    }

    private static String expected(String language, boolean anyMain) {
        switch (language) {
        case "kotlin":
            return "\"fun main()\" or an object with \"@JvmStatic fun main(args: Array<String>)\"";
        case "scala2":
            return "an object with \"def main(args: Array[String]): Unit\" or \"extends App\"";
        case "scala3":
            return "\"@main def\", an object with \"def main(args: Array[String]): Unit\" or \"extends App\"";
        default:
            return "a class with \"public static void main(String[] args)\"" + (anyMain ? " or \"void main()\"" : "");
        }
    }

    private static int release() {
        String version = System.getProperty("java.specification.version");
        return version.startsWith("1.") ? 8 : Integer.parseInt(version);
    }

    private static int place(List<String> sources, String name) {
        for (int i = 0; i < sources.size(); i++)
            if (sources.get(i).substring(sources.get(i).lastIndexOf('/') + 1).equals(name))
                return i;
        return sources.size();
    }

    // ---- the compilers ----

    private static boolean compile(String language, List<String> rest, List<String> sources) throws Exception {
        String[] words = rest.toArray(new String[0]);
        switch (language) {
        case "kotlin": {
            Object compiler = Class.forName("org.jetbrains.kotlin.cli.jvm.K2JVMCompiler").getConstructor().newInstance();
            Object code = compiler.getClass().getMethod("exec", PrintStream.class, String[].class)
                .invoke(compiler, System.err, words);
            return code.toString().equals("OK");
        }
        case "scala2": {
            Class<?> compiler = Class.forName("scala.tools.nsc.Main");
            return (Boolean) compiler.getMethod("process", String[].class).invoke(null, (Object) words);
        }
        case "scala3": {
            Class<?> compiler = Class.forName("dotty.tools.dotc.Main");
            Object reporter = compiler.getMethod("process", String[].class).invoke(null, (Object) words);
            return !(Boolean) reporter.getClass().getMethod("hasErrors").invoke(reporter);
        }
        default:
            return javac(rest, sources);
        }
    }

    /** The public class of the first source may have any name: its file is named by evalx, not by its author. */
    private static boolean javac(List<String> rest, List<String> sources) throws IOException {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        try (StandardJavaFileManager files = compiler.getStandardFileManager(null, null, StandardCharsets.UTF_8)) {
            List<JavaFileObject> units = new ArrayList<>();
            for (JavaFileObject each : files.getJavaFileObjectsFromStrings(sources))
                units.add(units.isEmpty() ? new AnyName(each) : each);
            List<String> options = rest.stream().filter(x -> !sources.contains(x)).collect(Collectors.toList());
            return compiler.getTask(null, files, null, options, null, units).call();
        }
    }

    private static final class AnyName extends ForwardingJavaFileObject<JavaFileObject> {
        AnyName(JavaFileObject file) {
            super(file);
        }

        @Override
        public boolean isNameCompatible(String simpleName, Kind kind) {
            return kind == Kind.SOURCE;
        }
    }

    // ---- class files (JVM specification, chapter 4) ----

    private static List<Candidate> readClasses() throws IOException {
        List<Path> paths;
        try (Stream<Path> tree = Files.walk(Paths.get(""))) {
            paths = tree.filter(x -> x.toString().endsWith(".class")).collect(Collectors.toList());
        }
        List<Candidate> all = new ArrayList<>();
        for (Path path : paths)
            all.add(new ClassFile(Files.readAllBytes(path)).read());
        // The lines of a Scala object are in the class of its methods, Name$; the methods of Name only call those.
        for (Candidate each : all)
            for (Candidate other : all)
                if (other.name.equals(each.name + "$"))
                    each.line = Math.min(each.line, other.line);
        return all;
    }

    private static final class ClassFile {
        private final DataInputStream in;
        private final Candidate found = new Candidate();
        private Object[] constants;

        ClassFile(byte[] content) {
            this.in = new DataInputStream(new ByteArrayInputStream(content));
        }

        Candidate read() throws IOException {
            try (DataInputStream closed = in) {
                in.skipBytes(8);
                readConstants();
                int flags = in.readUnsignedShort();
                found.isPublic = Modifier.isPublic(flags);
                found.isAbstract = Modifier.isAbstract(flags);
                found.name = ((String) constants[(Integer) constants[in.readUnsignedShort()]]).replace('/', '.');
                found.isNested = found.name.indexOf('$', 1) > 0;
                in.skipBytes(2);
                in.skipBytes(2 * in.readUnsignedShort());
                readMembers(false);
                readMembers(true);
                readAttributes();
            }
            return found;
        }

        private void readConstants() throws IOException {
            constants = new Object[in.readUnsignedShort()];
            for (int i = 1; i < constants.length; i++) {
                int tag = in.readUnsignedByte();
                switch (tag) {
                case 1:
                    constants[i] = in.readUTF();
                    break;
                case 7:
                    constants[i] = in.readUnsignedShort();
                    break;
                case 5: case 6: // a long or double takes two places
                    in.skipBytes(8);
                    i++;
                    break;
                case 15:
                    in.skipBytes(3);
                    break;
                case 8: case 16: case 19: case 20:
                    in.skipBytes(2);
                    break;
                default:
                    in.skipBytes(4);
                }
            }
        }

        private void readMembers(boolean areMethods) throws IOException {
            for (int count = in.readUnsignedShort(); count > 0; count--) {
                int flags = in.readUnsignedShort();
                Object name = constants[in.readUnsignedShort()], type = constants[in.readUnsignedShort()];
                if (areMethods && name.equals("<init>"))
                    found.hasConstructor = true;
                if (areMethods && name.equals("main")) {
                    boolean takesArgs = type.equals("([Ljava/lang/String;)V");
                    found.hasStandardMain |= takesArgs && Modifier.isPublic(flags) && Modifier.isStatic(flags);
                    found.hasOtherMain |= (takesArgs || type.equals("()V")) && !Modifier.isPrivate(flags);
                }
                readAttributes();
            }
        }

        private void readAttributes() throws IOException {
            for (int count = in.readUnsignedShort(); count > 0; count--) {
                Object name = constants[in.readUnsignedShort()];
                int len = in.readInt();
                if (name.equals("Code")) {
                    in.skipBytes(4);
                    in.skipBytes(in.readInt());
                    in.skipBytes(8 * in.readUnsignedShort());
                    readAttributes();
                } else if (name.equals("LineNumberTable")) {
                    for (int lines = in.readUnsignedShort(); lines > 0; lines--) {
                        in.skipBytes(2);
                        found.line = Math.min(found.line, in.readUnsignedShort());
                    }
                } else if (name.equals("SourceFile")) {
                    found.source = (String) constants[in.readUnsignedShort()];
                } else {
                    in.skipBytes(len);
                }
            }
        }
    }
}

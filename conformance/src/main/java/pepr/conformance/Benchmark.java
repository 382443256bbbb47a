package pepr.conformance;

import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedOutputStream;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.hl7.fhir.r5.elementmodel.Element;
import org.hl7.fhir.r5.elementmodel.JsonParser;
import org.hl7.fhir.r5.elementmodel.TurtleParser;
import org.hl7.fhir.r5.formats.IParser.OutputStyle;

/**
 * Measures the Java generator: {@code Benchmark RELEASE FILE.ndjson BASE WARM SECONDS [TURTLE]}.
 *
 * <p>Each resource is read from JSON and written as Turtle by {@code org.hl7.fhir.r5.elementmodel}, over and over: for WARM
 * seconds so that the JIT compiler has done its work, then for SECONDS, whole passes over the file. Seconds are those of the
 * processor, all threads together, so that what else runs on the machine does not count. Prints one line of JSON. With TURTLE, what one pass writes also goes into a file, untimed: who compares counts its triples.
 */
public final class Benchmark {
  private final Definitions definitions;
  private final List<byte[]> resources;
  private final String base;

  private Benchmark(Definitions definitions, List<byte[]> resources, String base) {
    this.definitions = definitions;
    this.resources = resources;
    this.base = base;
  }

  public static void main(String[] arguments) throws IOException {
    Path file = Path.of(arguments[1]);
    List<byte[]> resources;
    try (var lines = Files.lines(file)) {
      resources = lines.filter(line -> !line.isBlank()).map(line -> line.getBytes(StandardCharsets.UTF_8)).toList();
    }
    Benchmark run = new Benchmark(Definitions.of(arguments[0]), resources, arguments[2]);
    run.passes(Double.parseDouble(arguments[3]), new Counter(OutputStream.nullOutputStream()));
    Counter counter = new Counter(OutputStream.nullOutputStream());
    long started = processor();
    int passes = run.passes(Double.parseDouble(arguments[4]), counter);
    double seconds = (processor() - started) / 1e9;
    if (arguments.length > 5) {
      try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(Path.of(arguments[5])))) {
        run.once(new Counter(out));
      }
    }
    long input = resources.stream().mapToLong(line -> line.length + 1L).sum();
    System.out.printf(
        java.util.Locale.ROOT,
        "{\"passes\": %d, \"resources\": %d, \"seconds\": %.6f, \"input_bytes\": %d, \"output_bytes\": %d}%n",
        passes, resources.size(), seconds, input, counter.bytes / passes);
  }

  private int passes(double seconds, OutputStream out) throws IOException {
    long end = processor() + (long) (seconds * 1e9);
    int passes = 0;
    do {
      once(out);
      passes++;
    } while (processor() < end);
    return passes;
  }

  private static long processor() {
    return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
  }

  private void once(OutputStream out) throws IOException {
    for (byte[] text : resources) {
      Element element = new JsonParser(definitions).parseSingle(new ByteArrayInputStream(text), null);
      new TurtleParser(definitions).compose(element, out, OutputStyle.NORMAL, base);
    }
  }

  /** Counts bytes, and stays open: the generator closes what it writes to. */
  private static final class Counter extends OutputStream {
    private final OutputStream target;
    private long bytes;

    private Counter(OutputStream target) {
      this.target = target;
    }

    @Override
    public void write(int single) throws IOException {
      target.write(single);
      bytes++;
    }

    @Override
    public void write(byte[] buffer, int start, int length) throws IOException {
      target.write(buffer, start, length);
      bytes += length;
    }

    @Override
    public void close() throws IOException {
      target.flush();
    }
  }
}

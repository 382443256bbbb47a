package pepr.conformance;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.OutputStream;
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
 * seconds so that the JIT compiler has done its work, then for SECONDS, whole passes over the file, which are timed. Prints
 * one line of JSON. With TURTLE, what one pass writes also goes into a file, untimed: who compares counts its triples.
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
    run.passes(Double.parseDouble(arguments[3]));
    Counter counter = new Counter();
    long started = System.nanoTime();
    int passes = run.passes(Double.parseDouble(arguments[4]), counter);
    double seconds = (System.nanoTime() - started) / 1e9;
    if (arguments.length > 5) {
      try (OutputStream out = Files.newOutputStream(Path.of(arguments[5]))) {
        run.once(out);
      }
    }
    long input = resources.stream().mapToLong(line -> line.length + 1L).sum();
    System.out.printf(
        java.util.Locale.ROOT,
        "{\"passes\": %d, \"resources\": %d, \"seconds\": %.6f, \"input_bytes\": %d, \"output_bytes\": %d}%n",
        passes, resources.size(), seconds, input, counter.bytes / passes);
  }

  private void passes(double seconds) throws IOException {
    passes(seconds, OutputStream.nullOutputStream());
  }

  private int passes(double seconds, OutputStream out) throws IOException {
    long end = System.nanoTime() + (long) (seconds * 1e9);
    int passes = 0;
    do {
      once(out);
      passes++;
    } while (System.nanoTime() < end);
    return passes;
  }

  private void once(OutputStream out) throws IOException {
    for (byte[] text : resources) {
      Element element = new JsonParser(definitions).parseSingle(new ByteArrayInputStream(text), null);
      new TurtleParser(definitions).compose(element, out, OutputStyle.NORMAL, base);
    }
  }

  /** Counts bytes and forgets them. */
  private static final class Counter extends OutputStream {
    private long bytes;

    @Override
    public void write(int single) {
      bytes++;
    }

    @Override
    public void write(byte[] buffer, int start, int length) {
      bytes += length;
    }
  }
}

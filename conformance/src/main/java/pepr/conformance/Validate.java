package pepr.conformance;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.hl7.fhir.r5.elementmodel.Manager.FhirFormat;
import org.hl7.fhir.r5.utils.validation.ValidatorSession;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;
import org.hl7.fhir.utilities.validation.ValidationMessage;
import org.hl7.fhir.utilities.validation.ValidationMessage.IssueSeverity;
import org.hl7.fhir.validation.ValidatorSettings;
import org.hl7.fhir.validation.instance.InstanceValidator;
import org.hl7.fhir.validation.instance.advisor.BasePolicyAdvisorForFullValidation;

/**
 * Validates FHIR JSON: {@code Validate RELEASE PATH...}, where a path is a .json file, an .ndjson file or a folder of them.
 *
 * <p>Prints a line for each error and warning, {@code FILE[:LINE] SEVERITY LOCATION: TEXT}, and last
 * {@code N files, E errors, W warnings}. Exits with 1 when there are errors. No terminology server is asked, so codes of
 * systems that stand in none of the artifacts are not judged.
 */
public final class Validate {
  private final InstanceValidator validator;
  private int files;
  private int errors;
  private int warnings;

  private Validate(Definitions definitions) {
    ValidatorSettings settings = new ValidatorSettings();
    settings.setAssumeValidRestReferences(true); // what a reference names is not among the files
    settings.setAllowExamples(true);
    validator = new InstanceValidator(definitions, null, null, new ValidatorSession(), settings);
    validator.setFetcher(new Alone());
    validator.setPolicyAdvisor(new BasePolicyAdvisorForFullValidation(ReferenceValidationPolicy.IGNORE, Set.of()));
    validator.setAnyExtensionsAllowed(true);
    validator.setAssumeValidRestReferences(true);
    validator.setAllowExamples(true);
    validator.setNoExtensibleWarnings(true);
  }

  public static void main(String[] arguments) throws IOException {
    Validate run = new Validate(Definitions.of(arguments[0]));
    for (int number = 1; number < arguments.length; number++) {
      try (Stream<Path> paths = Files.walk(Path.of(arguments[number]))) {
        for (Path path : paths.filter(Files::isRegularFile).sorted().toList()) {
          run.file(path);
        }
      }
    }
    System.out.printf("%d files, %d errors, %d warnings%n", run.files, run.errors, run.warnings);
    System.exit(run.errors == 0 ? 0 : 1);
  }

  private void file(Path path) throws IOException {
    String name = path.toString();
    if (name.endsWith(".ndjson")) {
      int line = 0;
      for (String text : Files.readAllLines(path)) {
        line++;
        if (!text.isBlank()) {
          resource(name + ":" + line, text.getBytes(StandardCharsets.UTF_8));
        }
      }
      files++;
    } else if (name.endsWith(".json")) {
      resource(name, Files.readAllBytes(path));
      files++;
    }
  }

  private void resource(String name, byte[] text) {
    List<ValidationMessage> messages = new ArrayList<>();
    try {
      validator.validate(null, messages, new ByteArrayInputStream(text), FhirFormat.JSON);
    } catch (RuntimeException failure) { // what the validator cannot read is an error of the file
      report(name, "error", "", String.valueOf(failure.getMessage()));
      errors++;
    }
    for (ValidationMessage message : messages) {
      boolean isError = message.getLevel() == IssueSeverity.ERROR || message.getLevel() == IssueSeverity.FATAL;
      if (isError) {
        errors++;
      } else if (message.getLevel() == IssueSeverity.WARNING) {
        warnings++;
      } else {
        continue;
      }
      report(name, isError ? "error" : "warning", message.getLocation(), message.getMessage());
    }
  }

  private static void report(String name, String severity, String location, String text) {
    System.out.printf("%s\t%s\t%s\t%s%n", name, severity, location, text.replaceAll("\\s+", " "));
  }
}

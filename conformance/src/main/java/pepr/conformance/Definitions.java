package pepr.conformance;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Set;
import org.hl7.fhir.convertors.loaders.loaderR5.NullLoaderKnowledgeProviderR5;
import org.hl7.fhir.convertors.loaders.loaderR5.R4ToR5Loader;
import org.hl7.fhir.convertors.loaders.loaderR5.R5ToR5Loader;
import org.hl7.fhir.r5.context.IContextResourceLoader;
import org.hl7.fhir.r5.context.SimpleWorkerContext;
import org.hl7.fhir.r5.model.Bundle;
import org.hl7.fhir.r5.model.CanonicalResource;
import org.hl7.fhir.utilities.npm.NpmPackage;

/** The definitions of one release, from Maven's artifacts: no package server and no terminology server is asked. */
final class Definitions extends SimpleWorkerContext {
  private static final Set<String> TYPES =
      Set.of("StructureDefinition", "ValueSet", "CodeSystem", "ConceptMap", "NamingSystem", "SearchParameter");
  private static final String[] R4 = {
    "profile/profiles-types.xml",
    "profile/profiles-resources.xml",
    "profile/profiles-others.xml",
    "extension/extension-definitions.xml",
    "valueset/valuesets.xml",
    "valueset/v3-codesystems.xml",
    "valueset/v2-tables.xml",
  };
  private static final String[] R5 = {
    "hl7.fhir.r5.core-5.0.0.tgz", "hl7.terminology-5.1.0.tgz", "hl7.fhir.uv.extensions.r5-1.0.0.tgz",
  };

  private Definitions(SimpleWorkerContext empty, String version) throws IOException {
    super(empty);
    this.version = version; // decides which rules the Turtle generator and the validator follow
    setAllowLoadingDuplicates(true);
    setCanRunWithoutTerminology(true);
    setNoTerminologyServer(true);
    setExpansionParameters(new org.hl7.fhir.r5.model.Parameters());
  }

  /** Returns the definitions of "R4" or "R5". */
  static Definitions of(String release) throws IOException {
    SimpleWorkerContext empty = new SimpleWorkerContext.SimpleWorkerContextBuilder().fromNothing();
    Definitions definitions;
    switch (release) {
      case "R4" -> {
        definitions = new Definitions(empty, "4.0.1");
        definitions.loadR4();
      }
      case "R5" -> {
        definitions = new Definitions(empty, "5.0.0");
        for (String name : R5) {
          try (InputStream stream = open("/org/hl7/fhir/r5/packages/" + name)) {
            NpmPackage pack = NpmPackage.fromPackage(stream);
            definitions.loadFromPackage(pack, new R5ToR5Loader(TYPES, new NullLoaderKnowledgeProviderR5()), true);
          }
        }
      }
      default -> throw new IllegalArgumentException("The release is R4 or R5, not " + release + ".");
    }
    definitions.finishLoading(true);
    return definitions;
  }

  private void loadR4() throws IOException {
    IContextResourceLoader loader = new R4ToR5Loader(TYPES, new NullLoaderKnowledgeProviderR5(), "4.0.1");
    for (String name : R4) {
      try (InputStream stream = open("/org/hl7/fhir/r4/model/" + name)) {
        Bundle bundle = loader.loadBundle(stream, false);
        for (Bundle.BundleEntryComponent entry : bundle.getEntry()) {
          if (entry.getResource() instanceof CanonicalResource resource && TYPES.contains(resource.fhirType())) {
            cacheResource(resource);
          }
        }
      }
    }
  }

  private static InputStream open(String path) throws FileNotFoundException {
    InputStream stream = Definitions.class.getResourceAsStream(path);
    if (stream == null) {
      throw new FileNotFoundException(path + " is in none of the artifacts");
    }
    return stream;
  }
}

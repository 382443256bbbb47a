package pepr.conformance;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.hl7.fhir.r5.context.IWorkerContext.VersionResolutionRules;
import org.hl7.fhir.r5.elementmodel.Element;
import org.hl7.fhir.r5.model.CanonicalResource;
import org.hl7.fhir.r5.model.CanonicalType;
import org.hl7.fhir.r5.utils.validation.IResourceValidator;
import org.hl7.fhir.r5.utils.validation.IValidatorResourceFetcher;

/** Nothing outside the file and the definitions can be looked up: other resources are taken to be as references say. */
final class Alone implements IValidatorResourceFetcher {
  @Override
  public Element fetch(IResourceValidator validator, Object context, String url) {
    return null;
  }

  @Override
  public boolean resolveURL(
      IResourceValidator validator, Object context, String path, String url, VersionResolutionRules rules, String type,
      boolean canonical, List<CanonicalType> targets) {
    return true;
  }

  @Override
  public byte[] fetchRaw(IResourceValidator validator, String url) throws IOException {
    throw new FileNotFoundException(url);
  }

  @Override
  public IValidatorResourceFetcher setLocale(Locale locale) {
    return this;
  }

  @Override
  public CanonicalResource fetchCanonicalResource(IResourceValidator validator, Object context, String url) {
    return null;
  }

  @Override
  public boolean fetchesCanonicalResource(IResourceValidator validator, String url) {
    return false;
  }

  @Override
  public Set<ResourceVersionInformation> fetchCanonicalResourceVersions(
      IResourceValidator validator, Object context, String url) {
    return Set.of();
  }
}

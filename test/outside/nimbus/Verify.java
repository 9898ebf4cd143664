import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSource;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.BadJOSEException;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.text.ParseException;
import java.util.Set;

/** Verifies access tokens, a line each, as test/parts/token-verifier.ts asks. */
public class Verify {
  public static void main(String[] args) throws Exception {
    JWKSource<SecurityContext> keys = JWKSourceBuilder.create(URI.create(args[0]).toURL()).build();
    var claims =
        new DefaultJWTClaimsVerifier<>(
            args[2],
            new JWTClaimsSet.Builder().issuer(args[1]).build(),
            Set.of("sub", "exp", "iat", "jti"));
    claims.setMaxClockSkew(0);
    var processor = new DefaultJWTProcessor<>();
    processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
    processor.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.parse(args[3]), keys));
    processor.setJWTClaimsSetVerifier(claims);
    var tokens = new BufferedReader(new InputStreamReader(System.in));
    for (String token; (token = tokens.readLine()) != null; ) {
      try {
        System.out.println(processor.process(token, null).getSubject());
      } catch (BadJOSEException | JOSEException | ParseException refused) {
        System.out.println("refused: " + refused);
      }
    }
  }
}

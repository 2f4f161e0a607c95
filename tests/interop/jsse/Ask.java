import java.io.FileInputStream;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.KeyStore;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManagerFactory;

/** Asks a URL by both of Java's clients, in both versions of TLS: Ask URL PASSWORD TRUSTSTORE [KEYSTORE]. */
public class Ask {
	static KeyStore store(String file, char[] password) throws Exception {
		KeyStore ks = KeyStore.getInstance("PKCS12");
		try (FileInputStream in = new FileInputStream(file)) {
			ks.load(in, password);
		}
		return ks;
	}

	public static void main(String[] a) throws Exception {
		char[] password = a[1].toCharArray();
		TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
		SSLContext context = SSLContext.getInstance("TLS");

		trust.init(store(a[2], password));
		if (a.length > 3)
			keys.init(store(a[3], password), password);
		context.init(a.length > 3 ? keys.getKeyManagers() : null, trust.getTrustManagers(), null);
		for (String version : new String[] { "TLSv1.2", "TLSv1.3" }) {
			HttpClient client = HttpClient.newBuilder().sslContext(context)
				.sslParameters(new SSLParameters(null, new String[] { version })).build();

			for (int i = 0; i < 3; i++)
				System.out.println(version + " " + client.send(HttpRequest.newBuilder(URI.create(a[0])).build(),
									       BodyHandlers.ofString()).statusCode());
		}
		HttpsURLConnection old = (HttpsURLConnection)new URL(a[0]).openConnection();

		old.setSSLSocketFactory(context.getSocketFactory());
		System.out.println("URLConnection " + old.getResponseCode());
	}
}

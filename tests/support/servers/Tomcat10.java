import jakarta.servlet.http.*;
import java.io.IOException;
import java.nio.file.Files;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;

/** Tomcat, as lenient with paths as it can be set: `protected` at /mcp and below, else `public`. */
public class Tomcat10 {
    public static void main(String[] arguments) throws Exception {
        System.setProperty("org.apache.catalina.connector.CoyoteAdapter.ALLOW_BACKSLASH", "true");
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(Files.createTempDirectory("tomcat").toString());
        Connector connector = new Connector();
        connector.setPort(Integer.parseInt(arguments[0]));
        connector.setProperty("address", "127.0.0.1");
        connector.setProperty("relaxedPathChars", "\"<>[\\]^`{|}");
        connector.setProperty("maxKeepAliveRequests", "-1");
        connector.setEncodedSolidusHandling("decode");
        connector.setAllowBackslash(true);
        tomcat.setConnector(connector);
        Context context = tomcat.addContext("", null);
        add(context, "protected", "/mcp/*");
        add(context, "public", "/");
        tomcat.start();
        System.out.println("{}");
        tomcat.getServer().await();
    }

    private static void add(Context context, String name, String pattern) {
        Tomcat.addServlet(context, name, new HttpServlet() {
            @Override
            protected void service(HttpServletRequest request, HttpServletResponse response)
                    throws IOException {
                response.getOutputStream().print(name);
            }
        });
        context.addServletMappingDecoded(pattern, name);
    }
}

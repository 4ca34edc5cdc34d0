import java.io.IOException;
import javax.servlet.http.*;
import org.eclipse.jetty.http.HttpCompliance;
import org.eclipse.jetty.server.*;
import org.eclipse.jetty.servlet.*;

/** Jetty, as lenient with paths as it can be set: `protected` at /mcp and below, else `public`. */
public class Jetty9 {
    public static void main(String[] arguments) throws Exception {
        Server server = new Server();
        ServerConnector connector = new ServerConnector(server);
        connector.setHost("127.0.0.1");
        connector.setPort(Integer.parseInt(arguments[0]));
        connector.getConnectionFactory(HttpConnectionFactory.class)
                .setHttpCompliance(HttpCompliance.LEGACY);
        server.addConnector(connector);
        ServletContextHandler context = new ServletContextHandler();
        context.setCompactPath(true);
        add(context, "protected", "/mcp/*");
        add(context, "public", "/");
        server.setHandler(context);
        server.start();
        System.out.println("{}");
        server.join();
    }

    private static void add(ServletContextHandler context, String name, String pattern) {
        context.addServlet(new ServletHolder(name, new HttpServlet() {
            @Override
            protected void service(HttpServletRequest request, HttpServletResponse response)
                    throws IOException {
                response.getOutputStream().print(name);
            }
        }), pattern);
    }
}

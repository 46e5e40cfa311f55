import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.index.reindex.ReindexPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.painless.PainlessPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.transport.Netty4Plugin;

/**
 * One OpenSearch node in this process, on loopback. Its plugins are taken from the class path: the usual launcher wants an
 * installed distribution around it and refuses to run as root.
 *
 * Usage: RealNode HOME PORT [--plugin CLASS | SETTING=VALUE]...
 *
 * HOME/config is its configuration and HOME/data its data. Port 0 is any free one. Says "listens on ADDRESS:PORT" when it answers,
 * which is before it has recovered its indices. Ends on SIGTERM.
 */
final class RealNode extends Node {
    private static final String NAME = "real";

    private RealNode(Environment environment, Collection<Class<? extends Plugin>> plugins) {
        super(environment, plugins, true);
    }

    private static Settings.Builder standing(Path home, String port) {
        return Settings.builder()
            .put("cluster.name", "activityd-tests")
            .put("node.name", NAME)
            .put("path.home", home.toString())
            .put("path.data", home.resolve("data").toString())
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", port)
            .put("transport.port", "0")
            // A disk that is nearly full would make every index read-only.
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
    }

    public static void main(String[] words) throws Exception {
        Path home = Path.of(words[0]).toAbsolutePath();
        Path config = Files.createDirectories(home.resolve("config"));
        Settings.Builder settings = standing(home, words[1]);
        List<Class<? extends Plugin>> plugins = new ArrayList<>();
        plugins.add(Netty4Plugin.class);
        plugins.add(PainlessPlugin.class);
        plugins.add(CommonAnalysisPlugin.class);
        plugins.add(ReindexPlugin.class);
        for (int i = 2; i < words.length; i++) {
            if (words[i].equals("--plugin")) {
                plugins.add(Class.forName(words[++i]).asSubclass(Plugin.class));
                continue;
            }
            int equals = words[i].indexOf('=');
            if (equals < 1) {
                throw new IllegalArgumentException("not SETTING=VALUE: " + words[i]);
            }
            settings.put(words[i].substring(0, equals), words[i].substring(equals + 1));
        }

        Environment environment = InternalSettingsPreparer.prepareEnvironment(settings.build(), Map.of(), config, () -> NAME);
        RealNode node = new RealNode(environment, plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> end(node)));
        node.start();
        System.out.println("listens on " + node.injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress());
        new CountDownLatch(1).await();
    }

    private static void end(RealNode node) {
        try {
            node.close();
        } catch (Exception e) {
            e.printStackTrace();
        }
    }
}

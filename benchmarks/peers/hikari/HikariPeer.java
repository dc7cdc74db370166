import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.PrintWriter;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.logging.Logger;
import javax.sql.DataSource;

/**
 * HikariCP in the workloads of weir_peers that are for threads; weir_peers starts it. Prints "name<tab>value" lines.
 *
 * <p>Usage: HikariPeer WORKLOAD SECONDS, with WORKLOAD one of idle_1, idle_2, crowd.
 */
public final class HikariPeer {
  private static final double WARM_UP_SECONDS = 3; // until it is compiled
  private static final int IDLE_POOL_SIZE = 10;
  private static final int IDLE_CHUNK = 1000;
  private static final int CROWD_POOL_SIZE = 2;
  private static final int CROWD_THREADS = 32;
  private static final long CROWD_HOLD_NANOS = 20_000;

  private enum Phase { WARM_UP, MEASURED, OVER }

  private interface Body {
    void run(int thread) throws SQLException;
  }

  /** Gives connections that do nothing. */
  private static final class StubSource implements DataSource {
    @Override public Connection getConnection() { return new StubConnection(); }
    @Override public Connection getConnection(String user, String password) { return new StubConnection(); }
    @Override public PrintWriter getLogWriter() { return null; }
    @Override public void setLogWriter(PrintWriter out) {}
    @Override public void setLoginTimeout(int seconds) {}
    @Override public int getLoginTimeout() { return 0; }
    @Override public Logger getParentLogger() { return Logger.getGlobal(); }
    @Override public <T> T unwrap(Class<T> type) throws SQLException { throw new SQLException("nothing to unwrap"); }
    @Override public boolean isWrapperFor(Class<?> type) { return false; }
  }

  private static final AtomicReference<Throwable> failure = new AtomicReference<>();

  private HikariPeer() {}

  public static void main(String[] arguments) throws Exception {
    double seconds = Double.parseDouble(arguments[1]);
    switch (arguments[0]) {
      case "idle_1" -> idle(1, seconds);
      case "idle_2" -> idle(2, seconds);
      case "crowd" -> crowd(seconds);
      default -> throw new IllegalArgumentException(arguments[0] + ": no such workload");
    }
  }

  private static HikariDataSource pool(int size) {
    HikariConfig config = new HikariConfig();
    config.setDataSource(new StubSource());
    config.setMaximumPoolSize(size);
    config.setMinimumIdle(size);
    config.setConnectionTimeout(30_000);
    config.setPoolName("peer");
    return new HikariDataSource(config);
  }

  /** Waits until the pool is full: it connects in the background. */
  private static HikariDataSource fullPool(int size) throws InterruptedException {
    HikariDataSource source = pool(size);
    while (source.getHikariPoolMXBean().getIdleConnections() < size) {
      Thread.sleep(10);
    }
    return source;
  }

  private static Thread[] start(int count, Body body) {
    Thread[] threads = new Thread[count];
    for (int t = 0; t < count; ++t) {
      int index = t;
      threads[t] = new Thread(() -> {
        try {
          body.run(index);
        } catch (Throwable thrown) {
          failure.compareAndSet(null, thrown);
        }
      });
      threads[t].start();
    }
    return threads;
  }

  /** Exits with status 1 if a thread threw or a connection did not come back. */
  private static void finish(Thread[] threads, HikariDataSource source, int size) throws InterruptedException {
    for (Thread each : threads) {
      each.join();
    }
    int idle = source.getHikariPoolMXBean().getIdleConnections();
    if (failure.get() == null && idle == size) {
      return;
    }
    System.err.println("HikariPeer: " + idle + " of " + size + " connections came back, failure: " + failure.get());
    System.exit(1);
  }

  private static void sleep(double seconds) throws InterruptedException {
    Thread.sleep((long) (1e3 * seconds));
  }

  private static void print(String name, double value) {
    System.out.println(name + "\t" + value);
  }

  private static volatile boolean stop;

  private static void idle(int count, double seconds) throws InterruptedException {
    HikariDataSource source = fullPool(IDLE_POOL_SIZE);
    AtomicLong[] done = new AtomicLong[16 * count]; // far apart: one in sixteen is used
    Arrays.setAll(done, i -> new AtomicLong());
    Thread[] threads = start(count, t -> {
      AtomicLong mine = done[16 * t];
      while (!stop) {
        for (int i = 0; i < IDLE_CHUNK; ++i) {
          source.getConnection().close();
        }
        mine.lazySet(mine.get() + IDLE_CHUNK);
      }
    });
    sleep(WARM_UP_SECONDS);
    double[] rates = new double[5];
    for (int window = 0; window < rates.length; ++window) {
      long from = System.nanoTime();
      long before = Arrays.stream(done).mapToLong(AtomicLong::get).sum();
      sleep(seconds / rates.length);
      long after = Arrays.stream(done).mapToLong(AtomicLong::get).sum();
      rates[window] = 1e9 * (after - before) / (System.nanoTime() - from);
    }
    stop = true;
    finish(threads, source, IDLE_POOL_SIZE);
    Arrays.sort(rates);
    double rate = rates[rates.length / 2];
    print("ns/op per thread", 1e9 * count / rate);
    print("M ops/s", rate / 1e6);
    source.close();
  }

  private static volatile Phase phase = Phase.WARM_UP;

  /** Of one thread: waits in nanoseconds, and how many operations ended while it was measured. */
  private static final class Waits {
    long[] values = new long[1 << 16];
    int count;
    int done;

    void add(long nanos) {
      if (count == values.length) {
        values = Arrays.copyOf(values, 2 * count);
      }
      values[count++] = nanos;
    }
  }

  private static void crowd(double seconds) throws InterruptedException {
    HikariDataSource source = fullPool(CROWD_POOL_SIZE);
    Waits[] waits = new Waits[CROWD_THREADS];
    Arrays.setAll(waits, i -> new Waits());
    Thread[] threads = start(CROWD_THREADS, t -> {
      while (phase != Phase.OVER) {
        long asked = System.nanoTime();
        try (Connection held = source.getConnection()) {
          long got = System.nanoTime();
          while (System.nanoTime() - got < CROWD_HOLD_NANOS) {
            // held
          }
          // Whoever waited until the end is not to be forgotten; but it was served too late to count as served.
          Phase p = phase;
          if (p != Phase.WARM_UP) {
            waits[t].add(got - asked);
          }
          if (p == Phase.MEASURED) {
            ++waits[t].done;
          }
        }
      }
    });
    sleep(WARM_UP_SECONDS);
    long from = System.nanoTime();
    phase = Phase.MEASURED;
    sleep(seconds);
    phase = Phase.OVER;
    double took = (System.nanoTime() - from) / 1e9;
    finish(threads, source, CROWD_POOL_SIZE);

    long[] all = Arrays.stream(waits).flatMapToLong(w -> Arrays.stream(w.values, 0, w.count)).sorted().toArray();
    int least = Arrays.stream(waits).mapToInt(w -> w.done).min().getAsInt();
    int most = Arrays.stream(waits).mapToInt(w -> w.done).max().getAsInt();
    print("k ops/s", Arrays.stream(waits).mapToInt(w -> w.done).sum() / took / 1e3);
    print("wait p50 us", percentile(all, 0.5));
    print("p99 us", percentile(all, 0.99));
    print("p99.9 us", percentile(all, 0.999));
    print("max us", percentile(all, 1));
    print("least/most served thread", (double) least / most);
    source.close();
  }

  private static double percentile(long[] sorted, double part) {
    return sorted[(int) (part * (sorted.length - 1))] / 1e3;
  }
}

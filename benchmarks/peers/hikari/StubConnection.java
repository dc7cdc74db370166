import java.sql.*;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Executor;

/** Does nothing, so that the pool is all that is measured. What a pool has no need to call throws. */
final class StubConnection implements Connection {
  private volatile boolean closed;

  private static SQLException unused() {
    return new SQLFeatureNotSupportedException("a connection that does nothing");
  }

  @Override public void abort(Executor executor) { closed = true; }
  @Override public void clearWarnings() {}
  @Override public void close() { closed = true; }
  @Override public void commit() {}
  @Override public Array createArrayOf(String text, Object[] values) throws SQLException { throw unused(); }
  @Override public Blob createBlob() throws SQLException { throw unused(); }
  @Override public Clob createClob() throws SQLException { throw unused(); }
  @Override public NClob createNClob() throws SQLException { throw unused(); }
  @Override public SQLXML createSQLXML() throws SQLException { throw unused(); }
  @Override public Statement createStatement() throws SQLException { throw unused(); }
  @Override public Statement createStatement(int number, int number2) throws SQLException { throw unused(); }
  @Override public Statement createStatement(int number, int number2, int number3) throws SQLException { throw unused(); }
  @Override public Struct createStruct(String text, Object[] values) throws SQLException { throw unused(); }
  @Override public boolean getAutoCommit() { return true; }
  @Override public String getCatalog() { return null; }
  @Override public Properties getClientInfo() throws SQLException { throw unused(); }
  @Override public String getClientInfo(String text) throws SQLException { throw unused(); }
  @Override public int getHoldability() throws SQLException { throw unused(); }
  @Override public DatabaseMetaData getMetaData() throws SQLException { throw unused(); }
  @Override public int getNetworkTimeout() { return 0; }
  @Override public String getSchema() { return null; }
  @Override public int getTransactionIsolation() { return TRANSACTION_READ_COMMITTED; }
  @Override public Map<String, Class<?>> getTypeMap() throws SQLException { throw unused(); }
  @Override public SQLWarning getWarnings() { return null; }
  @Override public boolean isClosed() { return closed; }
  @Override public boolean isReadOnly() { return false; }
  @Override public boolean isValid(int number) { return true; }
  @Override public boolean isWrapperFor(Class<?> type) { return false; }
  @Override public String nativeSQL(String text) throws SQLException { throw unused(); }
  @Override public CallableStatement prepareCall(String text) throws SQLException { throw unused(); }
  @Override public CallableStatement prepareCall(String text, int number, int number2)
      throws SQLException { throw unused(); }
  @Override public CallableStatement prepareCall(String text, int number, int number2, int number3)
      throws SQLException { throw unused(); }
  @Override public PreparedStatement prepareStatement(String text) throws SQLException { throw unused(); }
  @Override public PreparedStatement prepareStatement(String text, int number) throws SQLException { throw unused(); }
  @Override public PreparedStatement prepareStatement(String text, int[] columns) throws SQLException { throw unused(); }
  @Override public PreparedStatement prepareStatement(String text, String[] columns) throws SQLException { throw unused(); }
  @Override public PreparedStatement prepareStatement(String text, int number, int number2)
      throws SQLException { throw unused(); }
  @Override public PreparedStatement prepareStatement(String text, int number, int number2, int number3)
      throws SQLException { throw unused(); }
  @Override public void releaseSavepoint(Savepoint point) throws SQLException { throw unused(); }
  @Override public void rollback() {}
  @Override public void rollback(Savepoint point) {}
  @Override public void setAutoCommit(boolean on) {}
  @Override public void setCatalog(String text) {}
  @Override public void setClientInfo(Properties properties) {}
  @Override public void setClientInfo(String text, String text2) {}
  @Override public void setHoldability(int number) throws SQLException { throw unused(); }
  @Override public void setNetworkTimeout(Executor executor, int number) {}
  @Override public void setReadOnly(boolean on) {}
  @Override public Savepoint setSavepoint() throws SQLException { throw unused(); }
  @Override public Savepoint setSavepoint(String text) throws SQLException { throw unused(); }
  @Override public void setSchema(String text) {}
  @Override public void setTransactionIsolation(int number) {}
  @Override public void setTypeMap(Map<String, Class<?>> map) throws SQLException { throw unused(); }
  @Override public <T> T unwrap(Class<T> type) throws SQLException { throw unused(); }
}

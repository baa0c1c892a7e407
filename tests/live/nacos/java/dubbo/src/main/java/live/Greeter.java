package live;

/** The service that is called. */
public interface Greeter {
  String hello(String name);
}

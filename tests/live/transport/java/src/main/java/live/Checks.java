package live;

import static live.Client.MIB;
import static live.Client.patient;

import com.google.common.util.concurrent.ListenableFuture;
import io.grpc.CallOptions;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/** A grpc-java client of the echo server: runs checks and prints one JSON line for each. */
public final class Checks {
    private static final Metadata.Key<String> KEY = Metadata.Key.of("key", Metadata.ASCII_STRING_MARSHALLER);
    private static final CallOptions GZIP = patient().withCompression("gzip");
    private static final String TEXT = "Грешка 値 ✓ 100% \"a\"\n b\tc";

    private final Map<String, String> options = new LinkedHashMap<>(Map.of(
            "address", "", "ca", "", "checks", "", "sequential", "10000", "parallel", "1500", "messages", "2000", "idle", "12",
            "mode", "checks"));
    private final int messages;

    /** What a check found. */
    static final class Wrong extends Exception {
        Wrong(String why) {
            super(why);
        }
    }

    interface Check {
        void run(Client client) throws Exception;
    }

    private Checks(String[] arguments) {
        for (int at = 0; at + 1 < arguments.length; at += 2) {
            options.put(arguments[at].substring(2), arguments[at + 1]);
        }
        messages = number("messages");
    }

    private int number(String option) {
        return Integer.parseInt(options.get(option));
    }

    private Client connect(boolean pings) throws Exception {
        return new Client(options.get("address"), options.get("ca"), pings);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] random(int size) {
        byte[] message = new byte[size];
        new Random(7).nextBytes(message);
        return message;
    }

    private static byte[] fill(int number) {
        byte[] message = new byte[number * 7919 % 20481];
        Arrays.fill(message, (byte) (number % 251));
        return message;
    }

    private static String shown(Object value) {
        if (value instanceof byte[] octets) {
            String text = new String(octets, StandardCharsets.UTF_8);
            return octets.length + " bytes " + text.substring(0, Math.min(60, text.length()));
        }
        return String.valueOf(value);
    }

    private static void same(Object got, Object want) throws Wrong {
        boolean equal = got instanceof byte[] a && want instanceof byte[] b ? Arrays.equals(a, b) : got.equals(want);
        if (!equal) {
            throw new Wrong("got " + shown(got) + ", want " + shown(want));
        }
    }

    private static void ended(Object status, Status.Code code, String text) throws Wrong {
        if (!(status instanceof Status end)) {
            throw new Wrong("got " + shown(status) + ", want the end with " + code);
        }
        String told = end.getDescription() == null ? "" : end.getDescription();
        if (end.getCode() != code || (text != null && !told.equals(text))) {
            throw new Wrong("ended with " + end.getCode() + " '" + told + "', want " + code + " '" + text + "'");
        }
    }

    private static void fails(
            Client client, String name, byte[] message, CallOptions with, Status.Code code, String text) throws Wrong {
        fails(client, name, message, with, new Metadata(), code, text);
    }

    private static void fails(
            Client client, String name, byte[] message, CallOptions with, Metadata metadata, Status.Code code, String text)
            throws Wrong {
        byte[] answer;
        try {
            answer = client.call(name, message, with, metadata);
        } catch (StatusRuntimeException failure) {
            ended(failure.getStatus(), code, text);
            return;
        }
        throw new Wrong("the call did not fail: " + shown(answer));
    }

    private static void echo(Client client, byte[] message, CallOptions with) throws Wrong {
        same(client.call("Unary", message, with, new Metadata()), message);
    }

    private static void unary(Client client) throws Wrong {
        echo(client, bytes("hello"), patient());
    }

    private static void metadata(Client client) throws Wrong {
        byte[] every = new byte[256];
        for (int at = 0; at < 256; at++) {
            every[at] = (byte) at;
        }
        Map<String, byte[]> sent = Map.of(
                "plain", bytes("a value, with ~ signs"), "some-bin", every, "none-bin", new byte[0], "long", bytes("x".repeat(5000)));
        Metadata pairs = new Metadata();
        sent.forEach((name, value) -> {
            if (name.endsWith("-bin")) {
                pairs.put(Metadata.Key.of(name, Metadata.BINARY_BYTE_MARSHALLER), value);
            } else {
                pairs.put(
                        Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), new String(value, StandardCharsets.US_ASCII));
            }
        });
        for (int round = 0; round < 3; round++) {
            for (var one : sent.entrySet()) {
                same(client.call("Metadata", bytes(one.getKey()), patient(), pairs), one.getValue());
            }
        }
        fails(client, "Metadata", bytes("absent"), patient(), pairs, Status.Code.NOT_FOUND, "no absent");
    }

    private static void statuses(Client client) throws Wrong {
        for (int code = 1; code <= 16; code++) {
            for (String text : List.of("", "plain", TEXT)) {
                Status.Code want = Status.fromCodeValue(code).getCode();
                fails(client, "Fail", bytes(code + " " + text), patient(), want, text);
            }
        }
    }

    private static void crash(Client client) throws Wrong {
        fails(client, "Crash", bytes("x"), patient(), Status.Code.INTERNAL, null);
        unary(client);
    }

    private static void unknown(Client client) throws Wrong {
        Status.Code code = Status.Code.UNIMPLEMENTED;
        fails(client, "Nothing", bytes("x"), patient(), code, "unknown method Nothing for service live.Echo");
        fails(client, "live.Nobody/Unary", bytes("x"), patient(), code, "unknown service live.Nobody");
    }

    private static void limit(Client client) throws Wrong {
        fails(client, "Unary", new byte[33 * MIB], patient(), Status.Code.RESOURCE_EXHAUSTED, null);
        unary(client);
    }

    private static void gzip(Client client) throws Wrong {
        for (byte[] message : List.of(new byte[0], new byte[MIB], random(300000))) {
            echo(client, message, GZIP);
        }
    }

    private static void bomb(Client client) throws Wrong {
        fails(client, "Unary", new byte[40 * MIB], GZIP, Status.Code.RESOURCE_EXHAUSTED, null);
        unary(client);
    }

    private void push(Client client) throws Exception {
        Client.Stream stream = client.open("Push", patient(), new Metadata());
        stream.send(bytes(String.valueOf(messages)));
        stream.end();
        for (int number = 0; number < messages; number++) {
            same(stream.next(), fill(number));
        }
        ended(stream.next(), Status.Code.OK, null);
    }

    private void count(Client client) throws Exception {
        Client.Stream stream = client.open("Count", patient(), new Metadata());
        long size = 0;
        for (int number = 0; number < messages; number++) {
            byte[] message = fill(number);
            size += message.length;
            stream.send(message);
        }
        stream.end();
        same(stream.next(), bytes(messages + " " + size));
        ended(stream.next(), Status.Code.OK, null);
    }

    private void chat(Client client) throws Exception {
        Client.Stream stream = client.open("Chat", patient(), new Metadata());
        Thread sender = new Thread(() -> {
            try {
                for (int number = 0; number < messages; number++) {
                    stream.send(fill(number));
                }
                stream.end();
            } catch (InterruptedException | IllegalStateException over) {
                stream.cancel();
            }
        });
        sender.start();
        for (int number = 0; number < messages; number++) {
            same(stream.next(), fill(number));
        }
        ended(stream.next(), Status.Code.OK, null);
        sender.join();
    }

    private static void early(Client client) throws Exception {
        for (int round = 0; round < 5; round++) {
            Client.Stream stream = client.open("Early", patient(), new Metadata());
            for (int number = 0; number < 500; number++) {
                stream.send(new byte[20000]);
            }
            int answers = 0;
            Object event = stream.next();
            while (event instanceof byte[]) {
                answers++;
                event = stream.next();
            }
            ended(event, Status.Code.OUT_OF_RANGE, "достаточно ✓");
            same(answers, 3);
        }
        unary(client);
    }

    private static void broken(Client client) throws Exception {
        Client.Stream stream = client.open("Broken", patient(), new Metadata());
        stream.send(bytes("x"));
        stream.send(bytes("x"));
        same(stream.next(), bytes("x"));
        ended(stream.next(), Status.Code.OK, null);
        unary(client);
    }

    private static void refused(Client client) throws Exception {
        Client.Stream stream = client.open("Refused", patient(), new Metadata());
        for (int number = 0; number < 500; number++) {
            stream.send(new byte[20000]);
        }
        ended(stream.next(), Status.Code.PERMISSION_DENIED, "не для вас");
    }

    private static void deadline(Client client) throws Wrong {
        long began = System.nanoTime();
        CallOptions briefly = CallOptions.DEFAULT.withDeadlineAfter(200, TimeUnit.MILLISECONDS);
        fails(client, "Later", bytes("5000"), briefly, Status.Code.DEADLINE_EXCEEDED, null);
        if (System.nanoTime() - began > 3_000_000_000L) {
            throw new Wrong("it took more than 3 s");
        }
        for (int seconds : new int[] {180000, 60, 30, 10}) {
            echo(client, bytes("hello"), CallOptions.DEFAULT.withDeadlineAfter(seconds, TimeUnit.SECONDS));
        }
    }

    private static String key(String name) {
        return name + "-java-" + ProcessHandle.current().pid();
    }

    private static Metadata keyed(String name) {
        Metadata metadata = new Metadata();
        metadata.put(KEY, key(name));
        return metadata;
    }

    private static Client.Stream hold(Client client, String name, CallOptions with) throws Exception {
        Client.Stream stream = client.open("Hold", with, keyed(name));
        stream.send(bytes("here"));
        same(stream.next(), bytes("here"));
        return stream;
    }

    /** Waits until all streams of a key that reached the server are over there. */
    private static void over(Client client, String name, int least) throws Exception {
        for (long until = System.nanoTime() + 10_000_000_000L; ; Thread.sleep(20)) {
            String[] known = new String(client.call("Lives", bytes(key(name))), StandardCharsets.UTF_8).split(" ");
            if (known[0].equals(known[1]) && Integer.parseInt(known[0]) >= least) {
                return;
            }
            if (System.nanoTime() > until) {
                throw new Wrong("the server knows " + known[0] + " streams of which " + known[1] + " are over");
            }
        }
    }

    private static void deadlineOfStream(Client client) throws Exception {
        CallOptions briefly = CallOptions.DEFAULT.withDeadlineAfter(700, TimeUnit.MILLISECONDS);
        ended(hold(client, "deadline", briefly).next(), Status.Code.DEADLINE_EXCEEDED, null);
        over(client, "deadline", 1);
    }

    private static void cancel(Client client) throws Exception {
        Client.Stream stream = hold(client, "cancel", patient());
        stream.cancel();
        ended(stream.next(), Status.Code.CANCELLED, null);
        over(client, "cancel", 1);
    }

    private void sequential(Client client) throws Wrong {
        byte[] message = random(200);
        for (int number = 0; number < number("sequential"); number++) {
            echo(client, message, patient());
        }
    }

    private void parallel(Client client) throws Exception {
        List<ListenableFuture<byte[]>> calls = new ArrayList<>();
        for (int number = 0; number < number("parallel"); number++) {
            calls.add(client.begin("Later", bytes("300")));
        }
        for (var call : calls) {
            same(call.get(), bytes("300"));
        }
        same(client.connections.get(), 1);
    }

    private static void cancels(Client client) throws Exception {
        for (int number = 0; number < 300; number++) {
            Client.Stream stream = client.open("Hold", patient(), keyed("cancels"));
            if (number % 2 == 0) {
                stream.send(bytes("here"));
            }
            stream.cancel();
        }
        over(client, "cancels", 0);
        same(client.connections.get(), 1);
    }

    /** Beside the other checks, on connections of its own: one with a stream, one without. */
    private void idle() throws Exception {
        double seconds = Double.parseDouble(options.get("idle"));
        try (Client client = connect(true);
                Client without = connect(true)) {
            CallOptions longer = CallOptions.DEFAULT.withDeadlineAfter((long) seconds + 60, TimeUnit.SECONDS);
            Client.Stream stream = hold(client, "idle", longer);
            unary(without);
            Thread.sleep((long) (seconds * 1000));
            stream.send(bytes("again"));
            same(stream.next(), bytes("again"));
            unary(without);
            same(client.connections.get() + without.connections.get(), 2);
            stream.cancel();
        }
    }

    private static synchronized void say(String name, String why, double seconds, int calls) {
        StringBuilder quoted = new StringBuilder();
        why.chars().forEach(sign -> quoted.append(sign < 32 || sign == '"' || sign == '\\' ? '\'' : (char) sign));
        System.out.println(("{\"check\": \"%s\", \"ok\": %b, \"why\": \"%s\", \"s\": " + seconds + ", \"calls\": %d}")
                .formatted(name, why.isEmpty(), quoted, calls));
    }

    private static void say(String name, Check check, Client client) {
        long began = System.nanoTime();
        String why = "";
        try {
            check.run(client);
        } catch (Throwable failure) {
            why = failure.toString();
        }
        say(name, why, (System.nanoTime() - began) / 1e9, 0);
    }

    private Map<String, Check> checks() {
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("unary", Checks::unary);
        checks.put("empty", client -> echo(client, new byte[0], patient()));
        checks.put("metadata", Checks::metadata);
        checks.put("statuses", Checks::statuses);
        checks.put("crash", Checks::crash);
        checks.put("unknown", Checks::unknown);
        checks.put("big4", client -> echo(client, random(4 * MIB), patient()));
        checks.put("big30", client -> echo(client, random(30 * MIB), patient()));
        checks.put("limit", Checks::limit);
        checks.put("gzip", Checks::gzip);
        checks.put("bomb", Checks::bomb);
        checks.put("push", this::push);
        checks.put("count", this::count);
        checks.put("chat", this::chat);
        checks.put("early", Checks::early);
        checks.put("broken", Checks::broken);
        checks.put("refused", Checks::refused);
        checks.put("deadline", Checks::deadline);
        checks.put("deadline_of_stream", Checks::deadlineOfStream);
        checks.put("cancel", Checks::cancel);
        checks.put("sequential", this::sequential);
        checks.put("parallel", this::parallel);
        checks.put("cancels", Checks::cancels);
        return checks;
    }

    private void check() throws Exception {
        List<String> names = Arrays.asList(options.get("checks").split(","));
        boolean all = options.get("checks").isEmpty();
        Thread silent = new Thread(() -> say("idle", client -> idle(), null));
        if (all || names.contains("idle")) {
            silent.start();
        }
        try (Client client = connect(false)) {
            checks().forEach((name, check) -> {
                if (all || names.contains(name)) {
                    say(name, check, client);
                }
            });
        }
        silent.join();
    }

    /** Says when it has begun, then calls without a pause until the input ends. No call may fail, whatever the server does. */
    private void load() throws Exception {
        try (Client client = connect(false)) {
            say("started", Checks::unary, client);
            List<String> failures = new ArrayList<>();
            int[] calls = {0};
            boolean[] leaving = {false};
            List<Thread> workers = new ArrayList<>();
            for (int number = 0; number < 6; number++) {
                boolean slow = number % 2 == 0;
                Thread worker = new Thread(() -> {
                    while (true) {
                        synchronized (calls) {
                            if (leaving[0]) {
                                return;
                            }
                            calls[0]++;
                        }
                        try {
                            client.call(slow ? "Later" : "Unary", bytes("20"));
                        } catch (RuntimeException failure) {
                            synchronized (calls) {
                                failures.add(failure.toString());
                            }
                        }
                    }
                });
                worker.start();
                workers.add(worker);
            }
            System.in.readAllBytes();
            synchronized (calls) {
                leaving[0] = true;
            }
            for (Thread worker : workers) {
                worker.join();
            }
            String why = failures.isEmpty()
                    ? ""
                    : failures.size() + " of " + calls[0] + " calls failed: " + failures.get(0);
            say("load", why, 0, calls[0]);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Checks checks = new Checks(arguments);
        if (checks.options.get("mode").equals("load")) {
            checks.load();
        } else {
            checks.check();
        }
        System.exit(0);
    }
}

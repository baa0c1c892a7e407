package live;

import com.google.gson.Gson;
import com.google.gson.annotations.SerializedName;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A caller on grpc-xds: orders on standard input, one JSON line of answer each. The bootstrap is the environment's. */
public final class Caller {
    private static final MethodDescriptor.Marshaller<String> TEXT = new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(String message) {
            return new ByteArrayInputStream(message.getBytes(StandardCharsets.UTF_8));
        }

        @Override
        public String parse(InputStream stream) {
            try {
                return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
            } catch (IOException broken) {
                throw new UncheckedIOException(broken);
            }
        }
    };

    /** One line of standard input. */
    private static final class Order {
        @SerializedName("do")
        String command;

        String target;
        String path;
        int times;

        @SerializedName("within_ms")
        int withinMs;

        Map<String, String> metadata;
    }

    private final Map<String, ManagedChannel> channels = new HashMap<>();

    public static void main(String[] arguments) throws IOException {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        Gson gson = new Gson();
        Caller caller = new Caller();
        out.println(gson.toJson(Map.of("ready", true)));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            out.println(gson.toJson(caller.obey(gson.fromJson(line, Order.class))));
        }
        System.exit(0);
    }

    private Map<String, ?> obey(Order order) {
        return switch (order.command) {
            case "call" -> call(order);
            case "hang up" -> hangUp(order);
            default -> Map.of("error", "unknown command " + order.command);
        };
    }

    /** Calls one after the other; how often each back-end answered, and how often each status came. */
    private Map<String, ?> call(Order order) {
        Metadata metadata = new Metadata();
        order.metadata.forEach((name, value) ->
                metadata.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value));
        Channel channel = ClientInterceptors.intercept(
                channels.computeIfAbsent(order.target, Caller::open), MetadataUtils.newAttachHeadersInterceptor(metadata));
        MethodDescriptor<String, String> method = MethodDescriptor.<String, String>newBuilder()
                .setType(MethodType.UNARY)
                .setFullMethodName(order.path.substring(1))
                .setRequestMarshaller(TEXT)
                .setResponseMarshaller(TEXT)
                .build();
        Map<String, Integer> answers = new HashMap<>();
        Map<String, Integer> failures = new HashMap<>();
        String reason = "";
        for (int turn = 0; turn < order.times; turn++) {
            CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(order.withinMs, TimeUnit.MILLISECONDS);
            try {
                answers.merge(ClientCalls.blockingUnaryCall(channel, method, options, ""), 1, Integer::sum);
            } catch (StatusRuntimeException failed) {
                Status status = failed.getStatus();
                failures.merge(status.getCode().name(), 1, Integer::sum);
                reason = String.valueOf(status.getDescription());
            }
        }
        return Map.of("answers", answers, "failures", failures, "reason", reason);
    }

    private Map<String, ?> hangUp(Order order) {
        ManagedChannel made = channels.remove(order.target);
        if (made != null) {
            made.shutdownNow();
        }
        return Map.of();
    }

    private static ManagedChannel open(String target) {
        return Grpc.newChannelBuilder(target, InsecureChannelCredentials.create()).build();
    }
}

package live;

import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.SSLException;

/** A channel of its own, calls whose messages are bytes, and how often the channel was connected. */
final class Client implements AutoCloseable {
    static final int MIB = 1024 * 1024;
    static final long PATIENT_S = 60;
    private static final String SERVICE = "live.Echo/";

    private static final MethodDescriptor.Marshaller<byte[]> RAW = new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] message) {
            return new ByteArrayInputStream(message);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try {
                return stream.readAllBytes();
            } catch (IOException broken) {
                throw new UncheckedIOException(broken);
            }
        }
    };

    private final ManagedChannel channel;
    final AtomicInteger connections = new AtomicInteger();

    Client(String address, String ca, boolean pings) throws SSLException {
        NettyChannelBuilder builder =
                NettyChannelBuilder.forTarget(address).maxInboundMessageSize(64 * MIB).directExecutor();
        if (ca.isEmpty()) {
            builder.usePlaintext();
        } else {
            builder.sslContext(GrpcSslContexts.forClient().trustManager(new File(ca)).build());
        }
        if (pings) {
            builder.keepAliveTime(10, TimeUnit.SECONDS).keepAliveTimeout(5, TimeUnit.SECONDS).keepAliveWithoutCalls(true);
        }
        channel = builder.build();
        watch(channel.getState(false));
    }

    private void watch(ConnectivityState state) {
        channel.notifyWhenStateChanged(state, () -> {
            ConnectivityState now = channel.getState(false);
            if (now == ConnectivityState.READY) {
                connections.incrementAndGet();
            }
            if (now == ConnectivityState.TRANSIENT_FAILURE) {
                channel.resetConnectBackoff();
            }
            if (now != ConnectivityState.SHUTDOWN) {
                watch(now);
            }
        });
    }

    static CallOptions patient() {
        return CallOptions.DEFAULT.withDeadlineAfter(PATIENT_S, TimeUnit.SECONDS).withWaitForReady();
    }

    private static MethodDescriptor<byte[], byte[]> method(String name, MethodType type) {
        return MethodDescriptor.newBuilder(RAW, RAW)
                .setFullMethodName(name.contains("/") ? name : SERVICE + name)
                .setType(type)
                .build();
    }

    byte[] call(String name, byte[] message, CallOptions options, Metadata metadata) {
        return ClientCalls.blockingUnaryCall(
                io.grpc.ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(metadata)),
                method(name, MethodType.UNARY),
                options,
                message);
    }

    byte[] call(String name, byte[] message) {
        return call(name, message, patient(), new Metadata());
    }

    com.google.common.util.concurrent.ListenableFuture<byte[]> begin(String name, byte[] message) {
        return ClientCalls.futureUnaryCall(channel.newCall(method(name, MethodType.UNARY), patient()), message);
    }

    Stream open(String name, CallOptions options, Metadata metadata) {
        return new Stream(channel.newCall(method(name, MethodType.BIDI_STREAMING), options), metadata);
    }

    @Override
    public void close() {
        channel.shutdownNow();
    }

    /** A stream whose answers are read one by one, asked for in advance by a few. */
    static final class Stream {
        private static final int AHEAD = 16;
        private final ClientCall<byte[], byte[]> call;
        private final BlockingQueue<Object> events = new LinkedBlockingQueue<>();
        private final Object turn = new Object();
        private volatile boolean over;

        Stream(ClientCall<byte[], byte[]> call, Metadata metadata) {
            this.call = call;
            call.start(
                    new ClientCall.Listener<>() {
                        @Override
                        public void onMessage(byte[] message) {
                            events.add(message);
                        }

                        @Override
                        public void onReady() {
                            synchronized (turn) {
                                turn.notifyAll();
                            }
                        }

                        @Override
                        public void onClose(Status status, Metadata trailers) {
                            over = true;
                            events.add(status);
                            onReady();
                        }
                    },
                    metadata);
            call.request(AHEAD);
        }

        /** Sends when there is room; does nothing when the stream is over. */
        void send(byte[] message) throws InterruptedException {
            synchronized (turn) {
                while (!over && !call.isReady()) {
                    turn.wait(1000);
                }
            }
            if (!over) {
                call.sendMessage(message);
            }
        }

        void end() {
            call.halfClose();
        }

        void cancel() {
            call.cancel("enough", null);
        }

        /** A byte[], or the Status at the end. */
        Object next() throws InterruptedException {
            Object event = events.poll(PATIENT_S, TimeUnit.SECONDS);
            if (event == null) {
                throw new IllegalStateException("nothing came");
            }
            if (event instanceof byte[]) {
                call.request(1);
            }
            return event;
        }
    }
}

import Glibc
import IPNetwork
import LinuxSystem
import NIOCore
import NIOHTTP1
import NIOPosix

/// A small HTTP server: a function of the path makes the answer, and a connection carries one.
struct HTTPListener: Sendable {
    /// Where it listens.
    enum Place: Hashable, Sendable {
        case address(IPAddress, port: Int)
        /// A socket in the file system, for this host's root alone.
        case socket(path: String)
    }

    /// What a request is told.
    struct Answer: Sendable {
        var status = HTTPResponseStatus.ok
        var contentType = "text/plain; charset=utf-8"
        var body: ByteBuffer

        init(_ text: String, status: HTTPResponseStatus = .ok) {
            self.status = status
            body = ByteBuffer(string: text)
        }

        init(json: [UInt8]) {
            contentType = "application/json"
            body = ByteBuffer(bytes: json)
        }
    }

    let place: Place
    /// Of a request's path, without its query.
    let answer: @Sendable (String) async -> Answer

    /// Serves until the task is cancelled. A place that is taken is tried again every few seconds.
    ///
    /// - Parameter failed: told of the first failure.
    func run(failed: (any Error) -> Void) async {
        var isReported = false
        while !Task.isCancelled {
            do {
                try await serve()
            } catch is CancellationError {
                return
            } catch {
                if !isReported { failed(error) }
                isReported = true
            }
            try? await Task.sleep(for: .seconds(5))
        }
    }

    private func serve() async throws {
        let server = try await listen()
        defer { if case .socket(let path) = place { unlink(path) } }
        try await withTaskCancellationHandler {
            try await server.closeFuture.get()
        } onCancel: {
            server.close(promise: nil)
        }
    }

    private func listen() async throws -> any Channel {
        switch place {
        case .address(let address, let port):
            // As Go: all of IPv4 is all of IPv6 too, where the host has it.
            if address == .v4(.any), let server = try? await bootstrap.bind(host: "::", port: port).get() {
                return server
            }
            return try await bootstrap.bind(host: "\(address)", port: port).get()
        case .socket(let path):
            let socket = UnixSocketPath(path: path)
            try socket.prepare()
            // A file that nobody listens on was left by a process that was killed.
            let server = try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
            try socket.restrict()
            return server
        }
    }

    private var bootstrap: ServerBootstrap {
        ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [answer] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(HTTPAnswerer(answer: answer))
                }
            }
    }
}

/// One connection.
private final class HTTPAnswerer: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answer: @Sendable (String) async -> HTTPListener.Answer
    private var path = ""

    init(answer: @escaping @Sendable (String) async -> HTTPListener.Answer) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): path = String(head.uri.prefix { $0 != "?" })
        case .body: break
        case .end:
            let promise = context.eventLoop.makePromise(of: HTTPListener.Answer.self)
            promise.completeWithTask { [answer, path] in await answer(path) }
            promise.futureResult.assumeIsolated().whenSuccess { answer in Self.send(answer, context) }
        }
    }

    private static func send(_ answer: HTTPListener.Answer, _ context: ChannelHandlerContext) {
        var head = HTTPResponseHead(version: .http1_1, status: answer.status)
        head.headers.add(name: "Content-Type", value: answer.contentType)
        head.headers.add(name: "Content-Length", value: "\(answer.body.readableBytes)")
        head.headers.add(name: "Connection", value: "close")
        context.write(NIOAny(OutboundOut.head(head)), promise: nil)
        context.write(NIOAny(OutboundOut.body(.byteBuffer(answer.body))), promise: nil)
        context.writeAndFlush(NIOAny(OutboundOut.end(nil))).assumeIsolated().whenComplete { _ in
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

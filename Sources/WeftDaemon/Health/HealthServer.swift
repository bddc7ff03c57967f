import IPNetwork
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Operations

/// Answers probes: `/healthz` says that the daemon runs, as flannel's does, `/readyz` whether the data plane holds what
/// the registry says, and if not why.
struct HealthServer: Sendable {
    let address: IPAddress
    let port: Int
    let health: HealthBoard
    let logger: Logger

    /// Serves until the task is cancelled. A port that is taken is tried again every few seconds.
    func run() async {
        var isReported = false
        while !Task.isCancelled {
            do {
                try await serve()
            } catch is CancellationError {
                return
            } catch {
                if !isReported {
                    logger.error(
                        "cannot serve health; choose another --healthz-port, or stop what uses it",
                        metadata: ["address": "\(address)", "port": "\(port)", "error": "\(error)"])
                    isReported = true
                }
            }
            try? await Task.sleep(for: .seconds(5))
        }
    }

    private func serve() async throws {
        let server = try await listen()
        try await withTaskCancellationHandler {
            try await server.closeFuture.get()
        } onCancel: {
            server.close(promise: nil)
        }
    }

    private func listen() async throws -> any Channel {
        // As Go: all of IPv4 is all of IPv6 too, where the host has it.
        if address == .v4(.any), let server = try? await bind("::") { return server }
        return try await bind("\(address)")
    }

    private func bind(_ host: String) async throws -> any Channel {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [health] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(HealthHandler(health: health))
                }
            }
            .bind(host: host, port: port).get()
    }
}

/// One connection of a probe.
private final class HealthHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let health: HealthBoard
    private var target = ""

    init(health: HealthBoard) { self.health = health }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): target = head.uri
        case .body: break
        case .end: answer(context)
        }
    }

    private func answer(_ context: ChannelHandlerContext) {
        let (status, text): (HTTPResponseStatus, String) =
            switch target.prefix(while: { $0 != "?" }) {
            case "/healthz": (.ok, "weftd is running\n")
            case "/readyz": (health.isReady ? .ok : .serviceUnavailable, health.report)
            default: (.notFound, "there is /healthz and /readyz\n")
            }
        var head = HTTPResponseHead(version: .http1_1, status: status)
        head.headers.add(name: "Content-Type", value: "text/plain; charset=utf-8")
        head.headers.add(name: "Content-Length", value: "\(text.utf8.count)")
        head.headers.add(name: "Connection", value: "close")
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

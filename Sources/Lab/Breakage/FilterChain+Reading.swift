import FoundationEssentials

extension FilterChain {
    /// The chains of the host that are called, or in a table called, after flannel or weft.
    static func read(namespace: String) async throws -> [FilterChain] {
        let outcome = try await Tool.attempt(Tool.inside(namespace, ["nft", "--json", "list", "chains"]))
        return outcome.succeeded ? try ours(inJSON: outcome.output) : []
    }

    static func ours(inJSON text: String) throws -> [FilterChain] {
        try JSONDecoder().decode(Listing.self, from: Data(text.utf8)).nftables.compactMap(\.chain)
            .filter { chain in
                ["flannel", "weft"].contains { "\(chain.table) \(chain.name)".lowercased().contains($0) }
            }
            .map { FilterChain(family: $0.family, table: $0.table, name: $0.name) }
    }

    private struct Listing: Decodable {
        struct Item: Decodable { let chain: Chain? }
        struct Chain: Decodable {
            let family: String
            let table: String
            let name: String
        }
        let nftables: [Item]
    }
}

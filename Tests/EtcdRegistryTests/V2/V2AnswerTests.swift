import Leases
import Testing

@testable import EtcdRegistry

/// etcd 3.4.23's answers, each as `curl -s` printed it; the comment has the request.
enum V2Answers {
    // curl -X PUT $E/v2/keys/net/subnets/10.5.1.0-24?prevExist=false -d ttl=86400 -d value=a
    static let create =
        #"{"action":"create","node":{"key":"/net/subnets/10.5.1.0-24","value":"a","expiration":"2026-11-25T21:54:43.975796806Z","ttl":86400,"modifiedIndex":4,"createdIndex":4}}"#
    // The same again.
    static let exists =
        #"{"errorCode":105,"message":"Key already exists","cause":"/net/subnets/10.5.1.0-24","index":4}"#
    // curl -X PUT $E/v2/keys/net/subnets/10.5.1.0-24 -d ttl=86400 -d value=b
    static let set =
        #"{"action":"set","node":{"key":"/net/subnets/10.5.1.0-24","value":"b","expiration":"2026-11-25T21:54:43.991322445Z","ttl":86400,"modifiedIndex":5,"createdIndex":5},"prevNode":{"key":"/net/subnets/10.5.1.0-24","value":"a","expiration":"2026-11-25T21:54:43.975796806Z","ttl":86400,"modifiedIndex":4,"createdIndex":4}}"#
    // curl -X PUT $E/v2/keys/net/subnets/10.5.1.0-24?prevIndex=9 -d value=q
    static let swapWithoutTimeToLive =
        #"{"action":"compareAndSwap","node":{"key":"/net/subnets/10.5.1.0-24","value":"q","modifiedIndex":10,"createdIndex":5},"prevNode":{"key":"/net/subnets/10.5.1.0-24","value":"c","expiration":"2026-11-24T21:59:41.065169406Z","ttl":100,"modifiedIndex":9,"createdIndex":5}}"#
    // curl -X DELETE $E/v2/keys/net/subnets/10.5.1.0-24?prevIndex=11
    static let delete =
        #"{"action":"compareAndDelete","node":{"key":"/net/subnets/10.5.1.0-24","modifiedIndex":12,"createdIndex":5},"prevNode":{"key":"/net/subnets/10.5.1.0-24","value":"q","expiration":"2026-11-24T21:59:41.081810679Z","ttl":100,"modifiedIndex":11,"createdIndex":5}}"#
    // curl $E/v2/keys/net/subnets?quorum=true, after a lease of two families and a key in a directory were put
    static let list =
        #"{"action":"get","node":{"key":"/net/subnets","dir":true,"nodes":[{"key":"/net/subnets/10.5.3.0-24\u0026fd00:10:5::-64","value":"{\"PublicIP\":\"1.2.3.4\"}","expiration":"2026-11-24T21:58:06.159295201Z","ttl":5,"modifiedIndex":13,"createdIndex":13},{"key":"/net/subnets/dir","dir":true,"modifiedIndex":14,"createdIndex":14}],"modifiedIndex":4,"createdIndex":4}}"#
    // curl $E/v2/keys/
    static let root =
        #"{"action":"get","node":{"dir":true,"nodes":[{"key":"/net","dir":true,"modifiedIndex":4,"createdIndex":4}]}}"#
    // curl $E/v2/keys/net/subnets, with authentication on and no user
    static let needsUser =
        #"{"errorCode":110,"message":"The request requires user authentication","cause":"Insufficient credentials","index":0}"#
    // curl $E/v2/members
    static let members =
        #"{"members":[{"id":"2e1259d415f2a040","name":"default","peerURLs":["http://127.0.0.1:23800"],"clientURLs":["http://127.0.0.1:23790"]}]}"#

    static let all = [create, exists, set, swapWithoutTimeToLive, delete, list, root, needsUser, members]
}

@Suite struct V2AnswerTests {
    private let keys = V2Keys(prefix: "/net")

    private func event(_ text: String) throws -> V2Event {
        guard case .event(let event) = try V2Body(parsing: Array(text.utf8)) else {
            throw Failure(description: "no event")
        }
        return event
    }

    @Test func whatEtcdAnswers() throws {
        let created = try event(V2Answers.create)
        #expect(
            keys.record(created.node)
                == LeaseRecord(
                    name: "10.5.1.0-24", value: [97], createRevision: 4, modRevision: 4, isReservation: false))
        let set = try event(V2Answers.set)
        #expect(set.node.createdIndex == 5 && set.previous?.createdIndex == 4 && !set.isRemoval)
        #expect(keys.record(try event(V2Answers.swapWithoutTimeToLive).node)?.isReservation == true)
        #expect(try event(V2Answers.delete).isRemoval)
        let list = try event(V2Answers.list)
        #expect(list.node.nodes.compactMap(keys.record).map(\.name) == ["10.5.3.0-24&fd00:10:5::-64"])
        #expect(list.node.nodes.compactMap(keys.record).first?.text == #"{"PublicIP":"1.2.3.4"}"#)
        #expect(try event(V2Answers.root).node.nodes.first?.key == "/net")
        #expect(
            try V2Body(parsing: Array(V2Answers.exists.utf8))
                == .failure(
                    V2Failure(code: 105, message: "Key already exists", cause: "/net/subnets/10.5.1.0-24")))
        #expect(try EtcdMembers.clientURLs(Array(V2Answers.members.utf8)) == ["http://127.0.0.1:23790"])
    }

    @Test(arguments: [
        "", "null", "[]", "{}", "<html>", #"{"action":"get"}"#, #"{"action":1,"node":{}}"#, #"{"errorCode":"x"}"#,
        #"{"action":"get","node":[]}"#, #"{"action":"get","node":{"key":1}}"#,
        #"{"action":"get","node":{"modifiedIndex":-1}}"#, #"{"action":"get","node":{"modifiedIndex":1.5}}"#,
        #"{"action":"get","node":{"modifiedIndex":99999999999999999999}}"#,
        #"{"action":"get","node":{"nodes":{}}}"#, #"{"action":"get","node":{"nodes":[1]}}"#,
        #"{"action":"get","node":{"value":["#,
    ])
    func whatIsNone(_ text: String) {
        #expect(throws: V2MalformedAnswer.self) { _ = try V2Body(parsing: Array(text.utf8)) }
    }

    /// Bytes changed, taken out, doubled and cut, by the thousand: an answer or a typed error, and never a trap.
    @Test func mutations() {
        var generator = SystemRandomNumberGenerator()
        var good = 0
        for _ in 0..<20_000 {
            guard var bytes = V2Answers.all.randomElement(using: &generator).map({ Array($0.utf8) }) else { continue }
            for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: bytes[index] = .random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: index)
                case 2: bytes.insert(contentsOf: bytes[index..<min(index + 20, bytes.count)], at: index)
                case 3: bytes.removeLast(bytes.count - index)
                default: bytes.swapAt(index, Int.random(in: 0..<bytes.count, using: &generator))
                }
            }
            do throws(V2MalformedAnswer) {
                if case .event(let event) = try V2Body(parsing: bytes) {
                    good += 1
                    _ = event.node.nodes.compactMap(keys.record)
                }
            } catch {
                #expect(!error.reason.isEmpty)
            }
            _ = try? EtcdMembers.clientURLs(bytes)
            _ = EtcdVersion(answer: bytes)
        }
        #expect(good > 100, "some mutations leave an answer")
    }

    @Test func namesAreDirectChildren() {
        #expect(keys.name("/net/subnets/10.5.1.0-24") == "10.5.1.0-24")
        for key in ["/net/subnets", "/net/subnets/", "/net/subnets/a/b", "/net/subnetsa", "/net/config", "", "/"] {
            #expect(keys.name(key) == nil, "\(key)")
        }
    }

    @Test func requestsMeanWhatTheySay() throws {
        let endpoint = try EtcdEndpoint("http://[::1]:2379")
        let request = V2Request.key(
            .PUT, keys.subnet("10.5.3.0-24&fd00:10:5::-64"), query: [("prevExist", "false")],
            form: [("value", Array(#"{"a":"&=+ ä"}"#.utf8)), ("ttl", Array("5".utf8))])
        let http = request.http(endpoint, EtcdCredentials(user: "weft", password: "secret"))
        #expect(
            http.url == "http://[::1]:2379/v2/keys/net/subnets/10.5.3.0-24%26fd00%3A10%3A5%3A%3A-64?prevExist=false")
        #expect(http.headers["Authorization"] == ["Basic d2VmdDpzZWNyZXQ="])
        #expect(http.headers["Content-Type"] == ["application/x-www-form-urlencoded"])
        #expect(
            PercentEncoding.encode(Array(#"{"a":"&=+ ä"}"#.utf8)) == "%7B%22a%22%3A%22%26%3D%2B%20%C3%A4%22%7D")
        #expect(
            V2Request.wait("/net/config", isRecursive: false, from: 7).http(endpoint, nil).url
                == "http://[::1]:2379/v2/keys/net/config?wait=true&waitIndex=7")
    }

    @Test func versions() {
        func version(_ text: String) -> EtcdVersion? { EtcdVersion(answer: Array(text.utf8)) }
        #expect(version(#"{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}"#) == EtcdVersion(major: 3, minor: 4))
        #expect(version(#"{"etcdserver":"2.3.8","etcdcluster":"2.2.0"}"#) == EtcdVersion(major: 2, minor: 2))
        #expect(version("etcd 2.0.13") == EtcdVersion(major: 2, minor: 0))
        #expect(version(#"{"etcdserver":"3.4.23","etcdcluster":"not_decided"}"#) == nil)
        #expect(version("<html>") == nil && version("") == nil)
        #expect(EtcdVersion(major: 2, minor: 10) > EtcdVersion(major: 2, minor: 3))
    }

    @Test func membersThatMayBeTried() throws {
        let configured = [try EtcdEndpoint("http://10.0.0.1:2379")]
        let urls = [
            "http://10.0.0.3:2379", "http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://127.0.0.1:2379",
            "http://localhost:2379", "http://0.0.0.0:2379", "http://[::]:2379", "unix:///run/etcd", "nonsense url", "",
            "https://10.0.0.4:2379", "http://10.0.0.2:2379",
        ]
        #expect(
            EtcdMembers.fallbacks(urls, configured: configured).map(\.description) == [
                "http://10.0.0.2:2379", "http://10.0.0.3:2379", "https://10.0.0.4:2379",
            ])
        let secure = [try EtcdEndpoint("https://10.0.0.1:2379")]
        #expect(
            EtcdMembers.fallbacks(urls, configured: secure).map(\.description) == ["https://10.0.0.4:2379"],
            "no password goes out in clear text")
        let local = [try EtcdEndpoint("http://127.0.0.1:4001")]
        #expect(EtcdMembers.fallbacks(urls, configured: local).contains(try EtcdEndpoint("http://127.0.0.1:2379")))
        #expect(EtcdMembers.fallbacks((1...99).map { "http://10.0.1.\($0):2379" }, configured: local).count == 8)
    }

    @Test func agesOutliveBlindWrites() {
        func record(_ publicIP: String, created: Int64, _ extra: String = "") -> LeaseRecord {
            LeaseRecord(
                name: "a", value: Array(vxlanValue(publicIP, extra).utf8), createRevision: created,
                modRevision: created, isReservation: false)
        }
        let ages = V2LeaseAges()
        let first = record("172.30.0.1", created: 10)
        let second = record("172.30.0.1", created: 20, #","BackendData":{"VNI":1}"#)
        #expect(ages.aged(second).createRevision == 20, "nothing is known of it")
        #expect(ages.aged(second, after: first).createRevision == 10)
        #expect(ages.aged(second, after: first).createRevision == 10, "the event came again")
        #expect(ages.aged(second).createRevision == 10, "so a list")
        let third = record("172.30.0.1", created: 30)
        #expect(ages.aged(third, after: second).createRevision == 10)
        let fourth = record("172.30.0.1", created: 40)
        #expect(ages.aged(list: [fourth], at: 45).map(\.createRevision) == [10], "written when nobody watched")
        let other = record("172.30.0.2", created: 50)
        #expect(ages.aged(other, after: fourth).createRevision == 50, "another host")
        #expect(ages.aged(fourth).createRevision == 40, "an answer that comes late")
        #expect(ages.aged(other).createRevision == 50)
        let fifth = record("172.30.0.2", created: 60)
        #expect(ages.aged(fifth, after: nil).createRevision == 60, "made where there was none")
        let sixth = record("172.30.0.2", created: 70)
        #expect(ages.aged(list: [sixth], at: 75).map(\.createRevision) == [60])
        #expect(ages.aged(list: [sixth], at: 72).map(\.createRevision) == [70], "a backup's")
        #expect(ages.aged(list: [], at: 76).isEmpty)
        let seventh = record("172.30.0.2", created: 80)
        #expect(ages.aged(seventh).createRevision == 80, "gone in between")
        #expect(ages.aged(record("172.30.0.3", created: 80)).createRevision == 80, "written with a comparison")
    }
}

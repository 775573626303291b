//! `rsinit fetch` and `rsinit unpack` alone, for measuring them.

fn main() -> anyhow::Result<()> {
    let mut args = lexopt::Parser::from_env();
    match args.next()? {
        Some(lexopt::Arg::Value(step)) if step == "fetch" => rsinit::stage::fetch::run_fetch(args),
        Some(lexopt::Arg::Value(step)) if step == "unpack" => {
            rsinit::stage::fetch::run_unpack(args)
        }
        _ => anyhow::bail!("fetch or unpack?"),
    }
}

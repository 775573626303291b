//! The end: is there something to hand over to?

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::context::{Context, Done};
use crate::format::elf::{HEAD, Program, read_program};
use crate::sys::root::resolve;

/// The stage's name.
pub const NAME: &str = "hand-over";

/// Most interpreters behind one another: a script, its shell, the shell's loader.
const DEPTH: usize = 4;

/// Checks that `init` and everything that starts it exist in the new root. dracut
/// does the rest: it switches to `/sysroot` when this process has ended well.
///
/// # Errors
/// What is missing, or cannot be started.
pub fn check(ctx: &Context<'_>, init: &str) -> anyhow::Result<Done<()>> {
    let sysroot = &ctx.layout.sysroot;
    let mut name = init.to_owned();
    for _ in 0..DEPTH {
        let path = program_in(sysroot, &name).with_context(|| format!("checking init {init}"))?;
        let mut head = Vec::new();
        File::open(&path)
            .and_then(|file| file.take(HEAD as u64).read_to_end(&mut head))
            .with_context(|| format!("reading {}", path.display()))?;
        match read_program(&head) {
            Program::Static => return Ok(Done::new((), format!("{init} is next"))),
            Program::Interpreted(interpreter) => name = interpreter,
            Program::Unknown => bail!("checking init {init}: {name} is neither ELF nor a script"),
        }
        if is_loader(&name) {
            program_in(sysroot, &name).with_context(|| format!("checking init {init}"))?;
            return Ok(Done::new((), format!("{init} is next")));
        }
    }
    bail!("checking init {init}: more than {DEPTH} interpreters behind one another")
}

/// A dynamic loader is started by the kernel itself and needs no other.
fn is_loader(name: &str) -> bool {
    Path::new(name).file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld"))
}

fn program_in(sysroot: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = resolve(sysroot, Path::new(name))?;
    let Ok(there) = fs::metadata(&path) else {
        bail!("the root has no {name}");
    };
    if !there.is_file() || there.permissions().mode() & 0o111 == 0 {
        bail!("{name} in the root is not an executable file");
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;
    use crate::layout::Layout;
    use crate::report::Report;
    use crate::sys::Linux;

    fn checked(build: impl FnOnce(&Path)) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::under(dir.path());
        fs::create_dir_all(layout.sysroot.join("sbin")).unwrap();
        build(&layout.sysroot);
        let report = Mutex::new(Report::new(String::new()));
        let ctx = Context::new(&Linux, &layout, Duration::from_secs(1), &report);
        check(&ctx, "/sbin/init").map(|_| ()).map_err(|error| format!("{error:#}"))
    }

    fn executable(path: &Path, bytes: &[u8]) {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_root_without_init_is_not_handed_over() {
        let error = checked(|_| ()).unwrap_err();
        assert_eq!(error, "checking init /sbin/init: the root has no /sbin/init");
    }

    #[test]
    fn an_init_whose_loader_is_missing_is_not_handed_over() {
        let shell = fs::read("/bin/sh").unwrap();
        let error = checked(|root| executable(&root.join("sbin/init"), &shell)).unwrap_err();
        assert!(error.contains("the root has no /lib"), "{error}");
    }

    #[test]
    fn an_init_that_is_not_executable_or_no_program_is_not_handed_over() {
        let error = checked(|root| fs::write(root.join("sbin/init"), "#!/bin/sh").unwrap());
        assert!(error.unwrap_err().contains("not an executable file"));
        let error = checked(|root| executable(&root.join("sbin/init"), b"text"));
        assert!(error.unwrap_err().contains("neither ELF nor a script"));
    }

    #[test]
    fn a_script_through_a_link_is_handed_over_when_its_shell_is_whole() {
        let shell = fs::read("/bin/sh").unwrap();
        checked(|root| {
            fs::create_dir_all(root.join("lib")).unwrap();
            fs::create_dir_all(root.join("bin")).unwrap();
            executable(&root.join("sbin/start"), b"#!/bin/sh\n");
            std::os::unix::fs::symlink("/sbin/start", root.join("sbin/init")).unwrap();
            executable(&root.join("bin/sh"), &shell);
            let Program::Interpreted(loader) = read_program(&shell[..HEAD]) else { panic!() };
            let loader = root.join(loader.trim_start_matches('/'));
            fs::create_dir_all(loader.parent().unwrap()).unwrap();
            executable(&loader, b"\x7fELF");
        })
        .unwrap();
    }
}
